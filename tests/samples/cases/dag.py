"""Cases of sample_flows/dag.py."""

from sample_flows.dag import ByHand, ByPlan
from tests.samples.cases import Case

NAMES = ("begin", "read_a", "read_b", "twice", "thrice", "square", "cube", "product", "raised", "gathered", "total")
STEPS: dict[str, int] = dict.fromkeys(NAMES, 1)

CASES = [
    Case("dag by plan", "sample_flows.dag", ByPlan, ("ByPlan",), result=1670, steps=STEPS),
    Case("dag by hand", "sample_flows.dag", ByHand, ("ByHand",), result=1670, steps=STEPS),
]
