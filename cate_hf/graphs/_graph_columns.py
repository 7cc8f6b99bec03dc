"""Columns of architectures in the forms of everyday, as the lists of names and of 0 and 1 that `from_arrow` reads.

Operations and adjacency are lists, or text of them: JSON, Python's (`DataFrame.to_csv` of lists) or NumPy's. They may
have the names of NAS-Bench-101, module_operations and module_adjacency; operations may be one-hot rows.
"""

import ast
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cate_hf.graphs._table_arrow import GRAPH_COLUMNS, PART_ROWS, graph_lists

__all__ = ["plain_columns"]

_PREFIX = "module_"
# Floats: as integers Arrow would cut 0.5 to 0; `from_arrow` looks at the entries.
_KINDS = {"operations": pa.list_(pa.string()), "adjacency": pa.list_(pa.list_(pa.float64()))}
_EXPECTED = {
    "operations": "a JSON list of names, or one as Python or NumPy prints it",
    "adjacency": "a JSON list of rows of 0 and 1, or one as Python or NumPy prints it",
}
_ARRAY = re.compile(r"\barray\((\[[^()]*\])(?:,\s*dtype=[\w<'.]+)?\)")
_PRINTED = re.compile(r"'[^']*'|\"[^\"]*\"|[\[\]]|[^\s\[\]'\",]+")

OneHot = Callable[[np.ndarray, np.ndarray, np.ndarray, pa.Table], Sequence[str]]


def plain_columns(columns: pa.Table, source: str, one_hot: OneHot | None = None) -> tuple[pa.Table, list[str]]:
    """The columns with operations as lists of names and adjacency as lists of rows, and remarks on what they were.

    Args:
        one_hot: gives the names of one-hot operations: of the first rows (N, L, V), their adjacency (N, L, L) and
            numbers of nodes (N,), and all columns.

    Raises:
        ValueError: naming source, row and column of what is wrong, or can be understood in two ways.
    """
    remarks = []
    for name in GRAPH_COLUMNS:
        other = _PREFIX + name
        if other in columns.column_names:
            if name in columns.column_names:
                raise ValueError(
                    f"{source}: columns {name!r} and {other!r} both say what the architectures are; leave one"
                )
            columns = columns.rename_columns([name if n == other else n for n in columns.column_names])
            remarks.append(f"{name} from {other}")
    for name in GRAPH_COLUMNS:
        if name in columns.column_names:
            columns, remark = _as_lists(columns, name, source)
            remarks += [remark] * bool(remark)
    if {*GRAPH_COLUMNS} <= {*columns.column_names} and _is_one_hot(columns["operations"].type):
        if one_hot is None:
            raise ValueError(f"{source}: operations are one-hot rows; expected names (a search space says their order)")
        columns, remark = _from_one_hot(columns, source, one_hot)
        remarks.append(remark)
    return columns, remarks


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_one_hot(kind: pa.DataType) -> bool:
    return _is_list(kind) and _is_list(kind.value_type)


def _as_lists(columns: pa.Table, name: str, source: str) -> tuple[pa.Table, str]:
    column = columns[name]
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return columns, ""
    known: dict[str | None, Any] = {}
    values, printed = [], False
    for row, text in enumerate(column.to_pylist()):
        if text not in known:
            value, plain = _parsed(text)
            if not isinstance(value, list):
                raise ValueError(f"{source}, row {row}, {name}: expected {_EXPECTED[name]}, got {text!r:.60}")
            known[text], printed = value, printed or not plain
        values.append(known[text])
    nested = name == "operations" and any(isinstance(value[0], list) for value in known.values() if value)
    kind = pa.list_(pa.list_(pa.float64())) if nested else _KINDS[name]
    try:
        array = pa.array(values, kind)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError):
        for row, value in enumerate(values):
            _check(value, kind, f"{source}, row {row}, {name}: expected {_EXPECTED[name]}")
        raise ValueError(f"{source}: column {name!r} cannot be read as {_EXPECTED[name]} in each row") from None
    place = columns.column_names.index(name)
    return columns.set_column(place, name, array), f"{name} as lists that Python or NumPy printed" if printed else ""


def _check(value: Any, kind: pa.DataType, problem: str) -> None:
    try:
        pa.array([value], kind)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError):
        raise ValueError(f"{problem}, got {json.dumps(value, default=str):.60}") from None


def _parsed(text: str | None) -> tuple[Any, bool]:
    """The list that a text is, None where it is none; and whether it is JSON."""
    text = text or ""
    try:
        value, plain = json.loads(text), True
    except (ValueError, RecursionError):
        value, plain = _printed(text), False
    return (_plain_numbers(value) if isinstance(value, list) else value), plain


def _printed(text: str) -> Any:
    if "array(" in text:  # arrays within an array: NumPy prints commas in those alone
        text = _ARRAY.sub(r"\1", text).replace(",", " ")
    try:
        if "," in text or ("\n" not in text and " " not in text.strip()):
            return _to_lists(ast.literal_eval(text.strip()))
        words = _PRINTED.findall(text)  # NumPy prints arrays without commas
        if "..." in words or "".join(words) != "".join(text.split()):
            return None
        return ast.literal_eval(" ".join(f"{word}," if word not in "[" else word for word in words).strip(","))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _to_lists(value: Any) -> Any:
    return [_to_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _plain_numbers(value: Any) -> Any:
    """Booleans, and floats that are 0.0 and 1.0, as integers: in adjacency, and nowhere else, they stand for them."""
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return int(value) if isinstance(value, bool | float) and value in (0, 1) else value


def _from_one_hot(columns: pa.Table, source: str, one_hot: OneHot) -> tuple[pa.Table, str]:
    """One-hot rows as names; rows of zeros at the end are padding, and so are those of the adjacency."""
    names: Sequence[str] = ()
    parts = []
    for first in range(0, len(columns), PART_ROWS):
        codes, adjacency, counts = _one_hot_rows(columns.slice(first, PART_ROWS), source, first)
        names = names or one_hot(codes, adjacency, counts, columns)
        if codes.shape[2] != len(names):
            raise ValueError(f"{source}: one-hot operations of different widths")
        parts.append(graph_lists(names, codes.argmax(axis=2), adjacency, counts))
    for name, chunks in zip(GRAPH_COLUMNS, zip(*parts, strict=True), strict=True):
        columns = columns.set_column(columns.column_names.index(name), name, pa.chunked_array(chunks))
    return columns, f"one-hot operations in the order {', '.join(names)}"


def _one_hot_rows(columns: pa.Table, source: str, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operations (N, L, V) and adjacency (N, L, L) int8 of some rows, and the numbers of nodes (N,)."""
    (codes, counts, widths), (adjacency, rows, lengths) = (_dense(columns[name]) for name in GRAPH_COLUMNS)
    size, width = codes.shape[1:]
    node = np.arange(size)
    used = node < counts[:, None]  # (N, L)
    wrong = (counts != rows) | (counts < 1) | (codes == -1).any(axis=(1, 2))
    if not wrong.all():  # else the adjacency may have another size
        wrong[~wrong] |= (used & (lengths[:, :size] != counts[:, None]))[~wrong].any(axis=1)
    _refuse(wrong, source, first, "expected one-hot rows of operations and a matrix of as many rows")
    if (widths[used] != width).any():
        raise ValueError(f"{source}: one-hot operations of different widths")
    ones = codes.sum(axis=2, dtype=np.int64)
    counts = np.where(ones > 0, node + 1, 0).max(axis=1)
    used = node < counts[:, None]
    padding = ~(used[:, :, None] & used[:, None, :])
    wrong = (ones != used).any(axis=1) | ((adjacency != 0) & padding).any(axis=(1, 2))
    _refuse(wrong, source, first, "an operation needs a single 1 in its row, and padding no edge")
    return codes, adjacency, counts


def _refuse(wrong: np.ndarray, source: str, first: int, problem: str) -> None:
    if wrong.any():
        raise ValueError(f"{source}, row {first + int(wrong.argmax())}: {problem}")


def _dense(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists of N lists of numbers as an array (N, L, W) int8, 0 where there is nothing and -1 for what is not 0 or 1;
    the lengths (N,), -1 of a missing list; and those of the lists in them (N, L).
    """
    lists, counts = _flat(column.combine_chunks())
    values, lengths = _flat(lists)
    try:
        numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        numbers = np.full(len(values), -1.0)
    inner = np.zeros((len(lengths), max(lengths.max(initial=0), 1)), np.int8)
    inner[np.arange(inner.shape[1]) < lengths[:, None]] = np.where(np.isin(numbers, (0, 1)), numbers, -1)
    used = np.arange(max(counts.max(initial=0), 1)) < counts[:, None]
    widths = np.zeros(used.shape, np.int64)
    dense = np.zeros((*used.shape, inner.shape[1]), np.int8)
    widths[used], dense[used] = lengths, inner
    return dense, counts, widths


def _flat(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The values of lists end to end, and the lengths (N,), -1 of a missing list; of what is no list, no values."""
    if not _is_list(array.type):
        return pa.array([], pa.float64()), np.full(len(array), -1)
    lengths = pc.fill_null(pc.list_value_length(array), -1)
    return array.flatten(), lengths.to_numpy(zero_copy_only=False).astype(np.int64)
