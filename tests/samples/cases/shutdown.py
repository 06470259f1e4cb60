"""Cases of sample_flows/shutdown.py."""

from sample_flows.shutdown import long_work
from tests.samples.cases import Case

CASES = [
    Case(
        "long work",
        "sample_flows.shutdown",
        lambda: long_work(7, 0.05),
        ("long_work", "-a", "number=7", "-a", "seconds=0.05"),
        result=["part 0 of 7", "part 1 of 7", "part 2 of 7"],
        steps={"work": 3},
    )
]
