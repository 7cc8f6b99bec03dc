"""Columns of CSV, JSON Lines and Parquet files that a user has; what is wrong in them is told in one line.

Rows are counted from 0, those of a CSV file below its header.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.graphs.io import JSON_SUFFIXES, PARQUET_SUFFIXES

if TYPE_CHECKING:
    import pyarrow as pa

CSV_SUFFIXES = (".csv",)
TABLE_SUFFIXES = (*PARQUET_SUFFIXES, *CSV_SUFFIXES, *JSON_SUFFIXES)
_BLOCK = 1 << 26  # bytes; a row must not be longer
_MOST_BRACKETS = 1000  # of a line of JSON that Arrow may read: its parser is recursive
_MISSING = ("", "na", "n/a", "nan", "null", "none", "-nan")


def read_columns(path: str | os.PathLike) -> "pa.Table":
    """The columns of a file as they are: those of a CSV file are text.

    Raises:
        ValueError: naming the file, and the line or row, of what is wrong; also for a file without rows.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.is_file():
        raise ValueError(f"{path}: not a file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    suffix = path.suffix.lower()
    readers = {CSV_SUFFIXES: _read_csv, JSON_SUFFIXES: _read_json_lines, PARQUET_SUFFIXES: _read_parquet}
    for suffixes, read in readers.items():
        if suffix in suffixes:
            table = read(path)
            break
    else:
        known = ", ".join(name for suffixes in readers for name in suffixes)
        raise ValueError(f"{path}: expected a file ending in {known}")
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: the column {twice[0]!r} is there twice")
    if not len(table):
        raise ValueError(f"{path}: holds no rows")
    return table.drop_columns([""]) if "" in table.column_names else table  # a data frame's index


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."


def _read_csv(path: Path) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    reading = csv.ReadOptions(use_threads=False, block_size=_BLOCK)  # without threads errors have the row
    parsing = csv.ParseOptions(newlines_in_values=True)
    try:
        with csv.open_csv(path, reading, parsing) as reader:
            names = reader.schema.names
        texts = csv.ConvertOptions(column_types={name: pa.string() for name in names}, strings_can_be_null=False)
        return csv.read_csv(path, reading, parsing, texts)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable CSV file ({_one_line(error)})") from None


def _read_parquet(path: Path) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        table.validate(full=True)
        _ = table.column_names  # text that is no UTF-8 is found here
        return table
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({_one_line(error)})") from None


def _read_json_lines(path: Path) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import json as arrow_json

    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text (byte {error.start})") from None
    if _brackets_of_a_line(content) <= _MOST_BRACKETS:
        try:
            options = arrow_json.ReadOptions(block_size=_BLOCK)
            table = arrow_json.read_json(pa.BufferReader(content), read_options=options)
            if not any(pa.types.is_temporal(field.type) for field in table.schema):
                return table
        except pa.ArrowException:
            pass  # read line by line, which tells where, or can read more than Arrow
    return _read_line_by_line(path, content)


def _brackets_of_a_line(content: bytes) -> int:
    """The most opening brackets that a line has: no value in it is nested deeper."""
    characters = np.frombuffer(content, dtype=np.uint8)
    ends = np.append(np.flatnonzero(characters == ord("\n")), len(characters))
    opened = np.flatnonzero((characters == ord("[")) | (characters == ord("{")))
    return int(np.diff(np.searchsorted(opened, ends), prepend=0).max())


def _read_line_by_line(path: Path, content: bytes) -> "pa.Table":
    import pyarrow as pa

    rows = []
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not valid JSON ({_one_line(error)})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: expected an object with the columns of a row")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({_plain(name): _json_column([row.get(name) for row in rows]) for name in names})


def _plain(text: str) -> str:
    """Text without halves of characters, which JSON can hold and Arrow cannot."""
    return text.encode("utf-8", "replace").decode()


def _json_column(values: list[Any]) -> "pa.Array":
    """Numbers or texts as they are; anything else as JSON text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return pa.array([None if value is None else _as_float(value) for value in values], pa.float64())
    if kinds != {str}:
        values = [None if value is None else json.dumps(value) for value in values]
    return pa.array([None if value is None else _plain(value) for value in values], pa.string())


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


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
