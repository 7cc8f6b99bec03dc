"""What a search is given: its settings' names, types and ranges, and encodings."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cate_hf.core._names import unknown


def check_settings(
    algorithm: str, defaults: Mapping[str, Any], choices: Mapping[str, tuple[str, ...]], given: Mapping[str, Any]
) -> dict[str, Any]:
    """All settings of an algorithm, those given in the place of the defaults; a whole number must be at least 1, any
    other number at least 0, and what is None by default may be None or any finite number.

    Args:
        choices: setting -> what it may be, of those that are words.

    Raises:
        ValueError: an unknown setting, or a value that it cannot have.
    """
    for name, value in given.items():
        if name not in defaults:
            raise unknown(f"setting of {algorithm}", name, defaults)
        _check(f"{algorithm}, setting {name}", defaults[name], choices.get(name), value)
    return {name: _plain(defaults[name], given.get(name, defaults[name])) for name in defaults}


def _check(what: str, default: Any, choices: tuple[str, ...] | None, value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if choices is not None:
        if value not in choices:
            raise ValueError(f"{what}: expected one of {', '.join(choices)}, not {value!r}")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{what}: expected true or false, not {value!r}")
    elif isinstance(default, int):
        if not is_number or value != int(value) or value < 1:
            raise ValueError(f"{what}: expected a whole number of at least 1, not {value!r}")
    elif isinstance(default, float):
        if not is_number or value < 0:
            raise ValueError(f"{what}: expected a number of at least 0, not {value!r}")
    elif value is not None and not is_number:
        raise ValueError(f"{what}: expected a number or None, not {value!r}")


def _plain(default: Any, value: Any) -> Any:
    """As JSON gives it back: 1.0 and 1 are the same setting."""
    if isinstance(default, bool | str) or value is None:
        return value
    return int(value) if isinstance(default, int) else float(value)


def check_encodings(encodings: np.ndarray | None, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, D) finite float32, contiguous, and the squared norms (rows,) of its rows.

    Raises:
        ValueError: saying what is wrong with them.
    """
    if encodings is None:
        raise ValueError("this search needs encodings of the candidates")
    encodings = np.ascontiguousarray(encodings, dtype=np.float32)
    if encodings.ndim != 2 or len(encodings) != rows:
        raise ValueError(f"encodings must be ({rows}, D), one row a candidate, not {encodings.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        squared_norms = np.einsum("nd,nd->n", encodings, encodings)
    if not np.isfinite(squared_norms).all():  # NaN and infinity anywhere make them so
        wrong = int(np.argmin(np.isfinite(squared_norms)))
        problem = "too large" if np.isfinite(encodings[wrong]).all() else "not finite"
        raise ValueError(f"encodings, row {wrong}: {problem}")
    return encodings, squared_norms
