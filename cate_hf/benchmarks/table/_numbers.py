"""Columns of a user's file as numbers, and why a column holds none."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_MISSING = ("", "na", "n/a", "nan", "null", "none", "-nan")


def numbers_of(column: "pa.ChunkedArray", source: str, name: str) -> np.ndarray | str:
    """A column as numbers: (N,) int64, or float64 with NaN where a value is missing; or why it holds none.

    Raises:
        ValueError: a value is infinite; names source, row and column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = pc.utf8_lower(pc.utf8_trim_whitespace(column))
        text = pc.if_else(pc.is_in(text, value_set=pa.array(_MISSING, kind)), pa.scalar(None, kind), text)
        try:
            column = text.cast(pa.int64()) if not text.null_count else text.cast(pa.float64())
        except pa.ArrowInvalid:
            try:
                column = text.cast(pa.float64())
            except pa.ArrowInvalid:
                return _why_no_numbers(column, text)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return f"it holds {kind}" if not pa.types.is_null(kind) else "all its values are missing"
    if column.null_count == len(column):
        return "all its values are missing"
    if pa.types.is_integer(column.type) and not column.null_count:
        values = column.to_numpy()
        if values.dtype != np.uint64 or values.max() <= np.iinfo(np.int64).max:
            return values.astype(np.int64)
    values = column.cast(pa.float64(), safe=False).to_numpy()
    if np.isnan(values).all():
        return "all its values are missing"
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise ValueError(
            f"{source}, row {infinite[0]}: {name} is infinite; expected a number, or nothing where it is missing"
        )
    return values


def _why_no_numbers(column: "pa.ChunkedArray", text: "pa.ChunkedArray") -> str:
    """The first value that is no number."""
    for row, value in enumerate(text.to_pylist()):
        try:
            float(value or 0)
        except ValueError:
            return f"row {row} holds {column[row].as_py()!r:.60}, which is no number"
    return "it holds text"
