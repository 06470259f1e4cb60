"""Cases of sample_flows/hello.py."""

from sample_flows.hello import hello
from tests.samples.cases import Case

CASES = [
    Case(
        "hello",
        "sample_flows.hello",
        lambda: hello("Ada", pause=0.1),
        ("hello", "-a", "name=Ada", "-a", "pause=0.1"),
        result="Hello, Ada! Goodbye, Ada!",
        steps={"greet": 1, "say_goodbye": 1},
    ),
    Case(
        "hello without arguments",
        "sample_flows.hello",
        lambda: hello(pause=0),
        ("hello", "-a", "pause=0"),
        result="Hello, world! Goodbye, world!",
        steps={"greet": 1, "say_goodbye": 1},
    ),
]
