"""Hostile texts: whatever is read gives a value or a CodecError, soon, and runs nothing."""

from __future__ import annotations

import ast
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np  # noqa: F401 - loaded, as in a process that uses arrays
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ergon_runtime.codec import UNHINTED, decode_error, describe_error, for_hint, parse_json
from ergon_runtime.errors import CodecError

ROOT = Path(__file__).resolve().parents[2]
HINTS: list[Any] = [UNHINTED, int, float, str, list[int], dict[str, float], dict[str, Any], bytes, list[Any] | None]


def attempts(text: str) -> list[Callable[[], object]]:
    readers: list[Callable[[], object]] = [lambda hint=hint: for_hint(hint).decode(text, "x") for hint in HINTS]
    return [*readers, lambda: decode_error(text), lambda: describe_error(text), lambda: parse_json(text, Any)]


def read_everywhere(text: str) -> int:
    """How many readers refused the text."""
    refused = 0
    for attempt in attempts(text):
        try:
            attempt()
        except CodecError:
            refused += 1
    return refused


MIB = 1024 * 1024
BOMBS = {
    "deep list": "[" * 1_000_000,
    "deep objects": '{"a":' * 300_000,
    "deep but balanced": "[" * 100_000 + "]" * 100_000,
    "many pairs": "[" + "[]," * 300_000 + "[]]",
    "open string": '"' * 1_000_001,
    "escaped quotes": '"' + '\\"' * 900_000,
    "backslashes": '"' + "\\" * 1_000_001,
    "digits": "9" * 1_000_000,
    "hex": '{"$int":"' + "f" * 1_000_000 + '"}',
    "wrong hex": '{"$int":"' + "g" * 1_000_000 + '"}',
    "decimal": '{"$Decimal":"' + "9" * 1_000_000 + '"}',
    "exponent": '{"$set":[{"$Decimal":"1e999999999"},{"$Decimal":"1e-999999999"}]}',
    "float text": '{"$float":"' + "1" * 1_000_000 + '"}',
    "complex text": '{"$complex":["' + "1" * 1_000_000 + '","0"]}',
    "equal hashes": '{"$set":[' + ",".join(str(n * (2**61 - 1)) for n in range(80_000)) + "]}",
    "equal hashes as keys": '{"$dict":[' + ",".join(f"[{n * (2**61 - 1)},0]" for n in range(60_000)) + "]}",
    "huge array": '{"$ndarray":["<f8",[1000000000000,1000000000000],""]}',
    "huge empty array": '{"$ndarray":["<f8",[0,1000000000000000000,1000000000000000000],""]}',
    "huge items": '{"$ndarray":["<U999999999",[1],""]}',
    "no items": '{"$ndarray":["<U0",[1000000000000],""]}',
    "many dimensions": '{"$ndarray":["<f8",[' + ",".join(["1"] * 1000) + '],"AAAAAAAAAAA="]}',
    "timedelta": '{"$timedelta":[999999999999,0,0]}',
    "base64": '{"$bytes":"' + "=" * 1_000_000 + '"}',
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_read_or_refused_in_a_moment(name: str) -> None:
    for attempt in attempts(BOMBS[name]):
        before = time.process_time()
        with contextlib.suppress(CodecError):
            attempt()
        assert time.process_time() - before < 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nul",
        "NaN",
        "[Infinity]",
        "1e999",
        "[-1e999]",
        "9" * 5000,
        "[" * 65 + "]" * 65,
        '"' + "a" * (2 * MIB) + '"',
        '"' + "é" * MIB + '"',
        '{"$datetime":1}',
        '{"$datetime":"yesterday"}',
        '{"$datetime":["2026-01-01",2]}',
        '{"$date":[]}',
        '{"$time":{}}',
        '{"$timedelta":["a",0,0]}',
        '{"$Decimal":"x"}',
        '{"$Decimal":1}',
        '{"$UUID":"x"}',
        '{"$bytes":"*"}',
        '{"$complex":["a","b"]}',
        '{"$float":"1.5"}',
        '{"$float":1}',
        '{"$int":1}',
        '{"$tuple":1}',
        '{"$set":[[]]}',
        '{"$set":{}}',
        '{"$dict":[[1,2],[1,3]]}',
        '{"$dict":[[1]]}',
        '{"$dict":[[[],1]]}',
        '{"$object":"Receipt"}',
        '{"$object":[1,2]}',
        '{"$object":["A",{},1]}',
        '{"$enum":["A"]}',
        '{"$ndarray":["|O",[1],"AAAAAAAAAAA="]}',
        '{"$ndarray":["<f8",[-1],""]}',
        '{"$ndarray":["<f8",[true],"AAAAAAAAAAA="]}',
        '{"$ndarray":["<f8,<f8",[1],""]}',
        '{"$numpy":[1]}',
        '{"$unstored":1}',
        '{"$":1}',
    ],
)
def test_malformed_text_is_a_codec_error(text: str) -> None:
    with pytest.raises(CodecError):
        for_hint(UNHINTED).decode(text, "x")


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.builds(
            lambda tag, payload: {tag: payload},
            st.sampled_from(
                [
                    "$datetime",
                    "$date",
                    "$time",
                    "$timedelta",
                    "$Decimal",
                    "$UUID",
                    "$bytes",
                    "$complex",
                    "$float",
                    "$int",
                    "$tuple",
                    "$set",
                    "$frozenset",
                    "$dict",
                    "$object",
                    "$enum",
                    "$ndarray",
                    "$numpy",
                    "$unstored",
                    "$exact",
                    "types",
                    "message",
                    "args",
                    "attributes",
                    "cause",
                    "members",
                ]
            ),
            inner,
        )
    ),
    max_leaves=10,
)


@given(json_like)
def test_any_json_gives_a_value_or_a_codec_error(value: object) -> None:
    read_everywhere(json.dumps(value))


@given(json_like, st.integers(0, 200), st.characters(max_codepoint=0x110000 - 1))
@example([], 0, "\ud800")
def test_mutated_text_gives_a_value_or_a_codec_error(value: object, at: int, put: str) -> None:
    text = json.dumps(value)
    at %= len(text)
    read_everywhere(text[:at] + put + text[at + 1 :])


@given(
    st.fixed_dictionaries(
        {
            "types": st.lists(
                st.sampled_from(["builtins:ValueError", "os:system", "builtins:SystemExit", "x"]) | json_like
            )
        },
        optional=dict.fromkeys(
            ("message", "args", "attributes", "builtin", "notes", "members", "cause", "group"), json_like
        ),
    )
)
def test_any_error_document_gives_an_exception_or_a_codec_error(document: object) -> None:
    text = json.dumps(document)
    try:
        error = decode_error(text)
        describe_error(text)
    except CodecError:
        return
    assert isinstance(error, Exception)


AUDIT = """
import json, sys, random, asyncio, datetime, decimal, uuid, dataclasses
import numpy as np
from typing import Any
from ergon_runtime.codec import UNHINTED, allow, decode_error, describe_error, encode_error, for_hint
from ergon_runtime.errors import CodecError

@dataclasses.dataclass
class Thing:
    a: Any
    b: int = 0

@dataclasses.dataclass
class Typed:
    a: float
    b: bytes = b""

class Own(Exception):
    pass

allow(Thing)
any_ = for_hint(UNHINTED)
values = [
    {1: (2, {3})}, Thing([datetime.datetime.now(datetime.timezone.utc)]), decimal.Decimal("1.1"), uuid.uuid4(), b"x",
    np.arange(4), np.array(["2026-01-01"], dtype="M8[D]"), np.float32(1), 1 + 2j, {"$set": 1}, float("nan"), 10 ** 700,
]
texts = [any_.encode(value, "x") for value in values]
typed = for_hint(Typed)
texts += [typed.encode(Typed(1.0), "x"), typed.encode(Typed(float("nan"), b"\\xff"), "x")]
try:
    try:
        raise Own(1, Thing(2))
    except Own as error:
        raise ExceptionGroup("many", [error, OSError(2, "gone", "file")]) from error
except ExceptionGroup as error:
    texts.append(encode_error(error))
texts += ['{"types":["not_loaded_module:Error","this:x","antigravity:Y"],"message":""}']
texts += ['{"types":["os:system","builtins:eval","subprocess:Popen"],"message":"","args":["true"]}']
hints = [for_hint(hint) for hint in (UNHINTED, int, list[int], dict[str, Any], Typed, datetime.datetime, np.ndarray)]
for hint in hints:
    try: hint.decode("null", "x")
    except CodecError: pass
readers = [lambda text, hint=hint: hint.decode(text, "x") for hint in hints] + [decode_error, describe_error]
seen = []
armed = False
BAD = ("import", "exec", "compile", "open", "os.", "subprocess.", "socket.", "pickle.", "ctypes.", "marshal.")
def hook(event, arguments):
    if armed and event.startswith(BAD):
        seen.append((event, repr(arguments)[:200]))
sys.addaudithook(hook)
rng = random.Random(1)
armed = True
good = 0
for n in range(12000):
    text = rng.choice(texts)
    if n >= len(texts) * 20:
        at = rng.randrange(len(text))
        put = rng.choice(['"', "[", "]", "{", "}", ":", "0", "$", "\\\\", rng.choice(texts)])
        text = text[:at] + put + text[at + rng.randrange(3):]
    for read in readers:
        try:
            read(text)
            good += 1
        except CodecError:
            pass
armed = False
print(json.dumps([good, seen[:5]]))
"""


def test_reading_imports_compiles_and_opens_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", AUDIT], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    good, seen = json.loads(done.stdout)
    assert seen == []
    assert good > 1000


def test_nothing_shipped_can_load_code_from_data() -> None:
    loaders = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "joblib"}
    found = [
        f"{path.name}:{node.lineno}"
        for path in [*ROOT.glob("ergon_runtime/**/*.py"), *ROOT.glob("ergon_cli/**/*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if loaders & imported(node)
    ]
    assert found == []


def imported(node: ast.AST) -> set[str]:
    match node:
        case ast.Import(names=names):
            return {each.name.partition(".")[0] for each in names}
        case ast.ImportFrom(module=str(module)):
            return {module.partition(".")[0]}
        case _:
            return set()
