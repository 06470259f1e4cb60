"""The codec: whatever a text says, it is a value or a CodecError, soon; whatever a value is, it comes back equal."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from ergon_runtime import Status
from ergon_runtime.codec import UNHINTED, decode_error, describe_error, encode_error, for_hint, parse_json
from ergon_runtime.core.entries import Outcome, unpack
from ergon_runtime.errors import CodecError
from ergon_runtime.view.stored import error_of, note_of, outcome_of, value_of
from tests.fuzz import hostile
from tests.fuzz.case import Faults

HINTS: tuple[Any, ...] = (
    UNHINTED,
    int,
    float,
    str,
    bool,
    bytes,
    Decimal,
    datetime,
    list[int],
    dict[str, float],
    dict[str, Any],
    set[int],
    tuple[int, str],
    UUID,
    timedelta,
    Status,
    list[Any] | None,
)
TAGS = [
    "datetime",
    "date",
    "time",
    "timedelta",
    "Decimal",
    "UUID",
    "bytes",
    "set",
    "frozenset",
    "tuple",
    "complex",
    "float",
    "int",
    "enum",
    "object",
    "dict",
    "ndarray",
    "numpy",
    "$",
    "unstored",
]
SLOWEST = 20.0
"""Seconds of this process for one text with all readers. The worst known takes a twentieth."""
ERROR = {
    "types": ["builtins:ValueError", "builtins:Exception"],
    "message": "no",
    "args": ["no", {"$tuple": [1]}],
    "attributes": {"a": 1},
    "traceback": "Traceback\n",
    "cause": {"types": ["builtins:OSError"], "message": "why", "traceback": ""},
}


class Payloads:
    """Each case is a text to read, or the recipe of a value to write."""

    def __init__(self, folder: Path, patience: float) -> None:
        pass

    def make(self, random: Random) -> Any:
        match random.randrange(10):
            case 0 | 1:
                return {"write": _recipe(random)}
            case 2 | 3:
                return {"read": json.dumps(hostile.mutate_value(random, ERROR))}
            case 4 | 5 | 6:
                return {"read": json.dumps(tagged(random, 3), ensure_ascii=random.random() < 0.5)}
            case 7:
                return {"read": hostile.mutate_bytes(random, json.dumps(tagged(random, 2)).encode()).decode("latin-1")}
            case 8:
                return {"read": _bomb(random)}
            case _:
                return {"error": _recipe(random)}

    def run(self, data: Any) -> Faults:
        if "read" in data:
            return read_everywhere(data["read"])
        if "error" in data:
            return _carried(_made(data["error"]))
        return _written(_made(data["write"]))


def read_everywhere(text: str) -> Faults:
    """Give a text to everything that reads stored texts; what is wrong."""
    begun = time.process_time()
    found: Faults = []
    raw = text.encode(errors="surrogatepass")
    readers: list[tuple[str, Any]] = [
        (f"hint {hint}", lambda hint=hint: for_hint(hint).decode(text, "x")) for hint in HINTS
    ]
    readers += [("error", lambda: decode_error(text)), ("describe", lambda: describe_error(text))]
    readers += [("json", lambda: parse_json(text, UNHINTED)), ("value", lambda: value_of(text))]
    readers += [
        ("error of", lambda: error_of(text)),
        ("outcome of", lambda: outcome_of(raw, Status.FAILED)),
        ("note", lambda: note_of(raw)),
    ]
    readers += [("entry", lambda: unpack(raw, 0)), ("outcome", lambda: Outcome.unpack(raw))]
    for name, reader in readers:
        try:
            reader()
        except CodecError as error:
            if not str(error).strip():
                found.append(f"mute: {name} says nothing")
        except ValueError as error:
            if name not in ("entry", "outcome"):
                found.append(f"raised: {name}: {error!r:.200}")
        except Exception as error:
            found.append(f"raised: {name}: {error!r:.200}")
    if time.process_time() - begun > SLOWEST:
        found.append(f"slow: {time.process_time() - begun:.1f} s of CPU")
    return found


def _written(value: Any) -> Faults:
    codec = for_hint(UNHINTED)
    try:
        text = codec.encode(value, "x")
    except CodecError as error:
        return [] if str(error).strip() else ["mute: encode says nothing"]
    except Exception as error:
        return [f"raised: encode: {error!r:.200}"]
    try:
        back = codec.decode(text, "x")
    except Exception as error:
        return [f"raised: decode of what was encoded: {error!r:.200}"]
    return [] if _same(back, value) else [f"changed: {value!r:.150} came back as {back!r:.150}"]


def _carried(value: Any) -> Faults:
    error = ValueError(value, "x")
    error.detail = value  # type: ignore[attr-defined]  # any attribute may be there
    try:
        text = encode_error(error)
        back = decode_error(text)
    except Exception as problem:
        return [f"raised: error: {problem!r:.200}"]
    return [] if type(back) is ValueError else [f"changed: the error came back as {back!r:.200}"]


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        return one == two or (math.isnan(one) and math.isnan(two))
    if type(one) is not type(two):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, dict):
        return len(one) == len(two) and all(_same(a, b) for a, b in zip(one.items(), two.items(), strict=True))
    if isinstance(one, (complex, Decimal)):
        return repr(one) == repr(two)
    return (
        repr(sorted(map(repr, one))) == repr(sorted(map(repr, two)))
        if isinstance(one, (set, frozenset))
        else one == two
    )


def tagged(random: Random, depth: int) -> Any:
    """JSON in which objects are often tagged values, mostly wrong ones."""
    if depth == 0 or random.random() < 0.3:
        return hostile.value(random, 1)
    if random.random() < 0.6:
        inside = random.choice((hostile.value(random, 1), tagged(random, depth - 1), [tagged(random, depth - 1)]))
        made = {"$" + random.choice(TAGS): inside}
        return made | {"x": 1} if random.random() < 0.1 else made
    return [tagged(random, depth - 1) for _ in range(random.randrange(4))]


def _bomb(random: Random) -> str:
    size = random.choice((100, 5_000, 200_000, 3_000_000))
    opening, middle, closing = random.choice(
        (
            ("[", "", "]"),
            ('{"a":', "1", "}"),
            ('{"$set":[', "", "]}"),
            ('{"$tuple":[', "", "]}"),
            ("9", "", ""),
            ('"', "", ""),
            ("1e", "", ""),
            ('{"$int":"', "", '"}'),
            ('{"$Decimal":"9', "", '"}'),
            ("[1,", "1", "]"),
            ('{"types":["builtins:ValueError"],"message":"","traceback":"","cause":', "null", "}"),
            ("\\u", "", ""),
        )
    )
    count = size // len(opening) + 1
    return opening * count + middle + closing * (count if random.random() < 0.7 else 0)


def _recipe(random: Random, depth: int = 3) -> Any:
    """JSON that `_made` makes a value of: some that no codec can carry."""
    kind = random.choice(
        (
            "plain",
            "plain",
            "list",
            "tuple",
            "set",
            "dict",
            "keys",
            "bytes",
            "decimal",
            "time",
            "delta",
            "complex",
            "float",
            "big",
            "object",
            "class",
            "cycle",
            "deep",
            "enum",
            "surrogate",
        )
    )
    inner = [_recipe(random, depth - 1) for _ in range(random.randrange(3))] if depth else []
    return [kind, hostile.text(random), random.choice(hostile.NUMBERS), inner]


def _made(recipe: Any) -> Any:
    kind, text, number, inner = recipe
    values = [_made(each) for each in inner]
    match kind:
        case "list":
            return values
        case "tuple":
            return tuple(values)
        case "set":
            return {repr(each) for each in values} | {number, text}
        case "dict":
            return {text: values, text + "$": number}
        case "keys":
            return {number: values, (1, text): text, None: 1, b"k": 2}
        case "bytes":
            return text.encode(errors="surrogatepass")
        case "decimal":
            return Decimal(str(number)) if abs(number) < 1e300 else Decimal("NaN")
        case "time":
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(number) % 10**15)
        case "delta":
            return timedelta(microseconds=int(number) % 10**15)
        case "complex":
            return complex(float(number % 2**60), math.inf)
        case "float":
            return random_float(number)
        case "big":
            return int(number) ** 9 if abs(number) < 1e100 else 10**4000
        case "object" | "class":
            return object() if kind == "object" else type(text[:5] or "x", (), {}) if "\0" not in text else int
        case "cycle":
            loop: list[Any] = [values]
            loop.append(loop)
            return loop
        case "deep":
            for _ in range(200):
                values = [values]
            return values
        case "enum":
            return Status.FAILED
        case "surrogate":
            return text + "\ud800"
        case _:
            return text


def random_float(number: float) -> float:
    """One of the floats that are not like others."""
    return (math.nan, math.inf, -math.inf, -0.0, 5e-324)[int(abs(number)) % 5]
