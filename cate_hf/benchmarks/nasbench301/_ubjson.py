"""Universal Binary JSON (https://ubjson.org, draft 12), as far as XGBoost writes it."""

import struct
from typing import Any

import numpy as np

_NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS = {b"T": True, b"F": False, b"Z": None}
_DEEPEST = 50


def read_ubjson(data: bytes) -> Any:
    """Dictionaries, lists, strings, numbers, booleans and None; arrays of one type of number are NumPy arrays.

    Raises:
        ValueError: it is damaged or truncated.
    """
    try:
        value, _ = _value(data, 0, 0)
    except (KeyError, struct.error, UnicodeDecodeError, IndexError):
        raise ValueError("its Universal Binary JSON is damaged") from None
    return value


def _number(data: bytes, at: int, kind: bytes) -> tuple[Any, int]:
    code = _NUMBERS[kind]
    size = int(code[2])
    part = data[at : at + size]
    if len(part) != size:
        raise IndexError
    return np.frombuffer(part, dtype=code)[0].item(), at + size


def _length(data: bytes, at: int) -> tuple[int, int]:
    length, at = _number(data, at + 1, data[at : at + 1])
    if type(length) is not int or not 0 <= length <= len(data) - at:
        raise IndexError
    return length, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    length, at = _length(data, at)
    return data[at : at + length].decode(), at + length


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    kind, at = data[at : at + 1], at + 1
    if depth > _DEEPEST:
        raise IndexError
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], at
    if kind == b"S":
        return _text(data, at)
    if kind == b"[":
        return _array(data, at, depth + 1)
    if kind != b"{":
        return _number(data, at, kind)
    result = {}
    while data[at : at + 1] != b"}":
        key, at = _text(data, at)
        result[key], at = _value(data, at, depth + 1)
    return result, at + 1


def _array(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if data[at : at + 1] == b"$":
        code = _NUMBERS[data[at + 1 : at + 2]]
        if data[at + 2 : at + 3] != b"#":
            raise IndexError
        length, at = _length(data, at + 3)
        end = at + length * int(code[2])
        if end > len(data):
            raise IndexError
        return np.frombuffer(data[at:end], dtype=code).astype(code[1:]), end
    result = []
    if data[at : at + 1] == b"#":
        length, at = _length(data, at + 1)
        for _ in range(length):
            value, at = _value(data, at, depth)
            result.append(value)
        return result, at
    while data[at : at + 1] != b"]":
        value, at = _value(data, at, depth)
        result.append(value)
    return result, at + 1
