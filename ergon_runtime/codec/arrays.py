"""Owns the stored form of numpy arrays and numpy scalars.

Rules: numpy is used if the process has loaded it, and never imported. Only dtypes of plain bytes, no objects and no
records. Sizes are checked before memory is taken.
"""

from __future__ import annotations

import binascii
import math
import re
import sys
from base64 import b64decode, b64encode
from typing import Any, Final, cast

from ergon_runtime.errors import CodecError

ARRAY: Final = "$ndarray"
SCALAR: Final = "$numpy"

_DTYPE = re.compile(r"[<>|][biufcSU][0-9]{1,9}|[<>][mM]8(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")


def is_numpy(cls: type) -> bool:
    """Whether the class is numpy's array or one of its scalars."""
    numpy = _numpy()
    return numpy is not None and (
        cls is numpy.ndarray or (cls.__module__ == "numpy" and issubclass(cls, numpy.generic))
    )


def write_numpy(value: object) -> dict[str, object]:
    """The stored form of an array or scalar. Raises CodecError for a dtype that is not plain bytes."""
    numpy = _loaded()
    array = cast(Any, value)
    dtype: str = array.dtype.str
    if not _DTYPE.fullmatch(dtype) or array.dtype.itemsize == 0:
        raise CodecError(f"a numpy value of dtype {array.dtype} has no stored form; convert it with astype or tolist()")
    raw = b64encode(array.tobytes()).decode("ascii")
    if type(array) is numpy.ndarray:
        return {ARRAY: [dtype, list(array.shape), raw]}
    if numpy.dtype(dtype).type is not type(array):
        raise CodecError(
            f"numpy.{type(array).__name__} has no stored form of its own; convert it with int() or float()"
        )
    return {SCALAR: [dtype, raw]}


def read_array(payload: object) -> object:
    """The array of a stored form; a fresh, writable one. Raises CodecError."""
    match cast(Any, payload):
        case [str(dtype), list(), str(raw)]:
            return _array(dtype, cast("list[Any]", payload)[1], raw)
        case _:
            raise CodecError("a stored numpy array is malformed")


def read_scalar(payload: object) -> object:
    """The numpy scalar of a stored form. Raises CodecError."""
    match payload:
        case [str(dtype), str(raw)]:
            return _array(dtype, [], raw)[()]
        case _:
            raise CodecError("a stored numpy scalar is malformed")


def _array(dtype: str, shape: list[object], raw: str) -> Any:
    numpy = _loaded()
    sizes = [size for size in shape if type(size) is int and size >= 0]
    if not _DTYPE.fullmatch(dtype) or len(sizes) != len(shape) or len(sizes) > 32:
        raise CodecError(f"a stored numpy array has an unusable dtype or shape: {dtype[:40]!r}")
    try:
        data = b64decode(raw, validate=True)
        kind = numpy.dtype(dtype)
        if kind.itemsize == 0 or math.prod(sizes) * kind.itemsize != len(data):
            raise CodecError("a stored numpy array has another size than its data")
        return numpy.frombuffer(data, kind).reshape(sizes).copy()
    except (binascii.Error, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise CodecError(f"a stored numpy array cannot be read: {error}") from None


def _numpy() -> Any:
    return sys.modules.get("numpy")


def _loaded() -> Any:
    numpy = _numpy()
    if numpy is None:
        raise CodecError("the stored value is a numpy array and numpy is not loaded; import numpy beside the flows")
    return numpy
