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

from cate_hf.graphs.table_arrow import GRAPH_COLUMNS

__all__ = ["plain_columns"]

_PREFIX = "module_"
# Floats: as integers Arrow would cut 0.5 to 0; `from_arrow` looks at the entries.
_KINDS = {"operations": pa.list_(pa.string()), "adjacency": pa.list_(pa.list_(pa.float64()))}
_EXPECTED = {
    "operations": "a JSON list of names, or one as Python or NumPy prints it",
    "adjacency": "a JSON list of rows of 0 and 1, or one as Python or NumPy prints it",
}
_PRINTED = re.compile(r"'[^']*'|\"[^\"]*\"|[\[\]]|[^\s\[\]'\",]+")

OneHot = Callable[[list[np.ndarray], list[np.ndarray], pa.Table], Sequence[str]]


def plain_columns(columns: pa.Table, source: str, one_hot: OneHot | None = None) -> tuple[pa.Table, list[str]]:
    """The columns with operations as lists of names and adjacency as lists of rows, and remarks on what they were.

    Args:
        one_hot: gives the names of one-hot operations: of N (L, V) and N (L, L) arrays and the columns.

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
    operations, adjacency = [], []
    for row, (codes, matrix) in enumerate(zip(*(columns[n].to_pylist() for n in GRAPH_COLUMNS), strict=True)):
        try:
            codes, matrix = np.asarray(codes, dtype=float), np.asarray(matrix, dtype=float)
        except (ValueError, TypeError):
            codes = np.empty(0)
        if codes.ndim != 2 or matrix.shape != (len(codes), len(codes)) or not np.isin(codes, (0, 1)).all():
            raise ValueError(f"{source}, row {row}: expected one-hot rows of operations and a matrix of as many rows")
        size = len(codes) - int(np.argmax(codes[::-1].any(axis=1))) if codes.any() else 0
        if (codes[:size].sum(axis=1) != 1).any() or matrix[size:].any() or matrix[:, size:].any():
            raise ValueError(f"{source}, row {row}: an operation needs a single 1 in its row, and padding no edge")
        operations.append(codes[:size])
        adjacency.append(matrix[:size, :size])
    if len({codes.shape[1] for codes in operations}) > 1:
        raise ValueError(f"{source}: one-hot operations of different widths")
    names = one_hot(operations, adjacency, columns)
    lists = [[names[code] for code in codes.argmax(axis=1)] for codes in operations]
    rows = [np.where((m == 0) | (m == 1), m, -1).astype(int).tolist() for m in adjacency]
    for name, values in zip(GRAPH_COLUMNS, (lists, rows), strict=True):
        columns = columns.set_column(columns.column_names.index(name), name, pa.array(values, _KINDS[name]))
    return columns, f"one-hot operations in the order {', '.join(names)}"
