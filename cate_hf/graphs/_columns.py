"""Columns of CSV, JSON and Parquet files that a user has; what is wrong in them is told in one line.

Rows are counted from 0, those of a CSV file below its header.
"""

import codecs
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cate_hf.core._files import check_fetched, check_no_folder
from cate_hf.graphs._json_forms import GRAPH_NAMES, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CSV_SUFFIXES", "TABLE_SUFFIXES", "read_columns"]

PARQUET_SUFFIXES = (".parquet", ".pq")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
CSV_SUFFIXES = (".csv", ".tsv")
TABLE_SUFFIXES = (*PARQUET_SUFFIXES, *CSV_SUFFIXES, *JSON_SUFFIXES)
_BLOCK = 1 << 26  # bytes; a row must not be longer
_MOST_BRACKETS = 1000  # of a line of JSON that Arrow may read: its parser is recursive
_DECIMAL_COMMA = r"^\s*([+-]?\d+(,\d+)?([eE][+-]?\d+)?)?\s*$"
_THOUSANDS = r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$"
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


class Columns(NamedTuple):
    """The columns of a file, and what it was understood as where its suffix does not say all; "" where it does."""

    table: "pa.Table"
    understood: str = ""


def read_columns(path: str | os.PathLike) -> Columns:
    """The columns of a file as they are: those of a CSV file are text. Columns of a data frame's index are left out.

    Raises:
        ValueError: naming the file, and the line or row, of what is wrong; also for a file without rows.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    check_no_folder(path, f"a file ending in {', '.join(TABLE_SUFFIXES)}")
    if not path.is_file():
        raise ValueError(f"{path}: not a file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    suffix = path.suffix.lower()
    readers = {CSV_SUFFIXES: _read_csv, JSON_SUFFIXES: _read_json, PARQUET_SUFFIXES: _read_parquet}
    read = next((read for suffixes, read in readers.items() if suffix in suffixes), None)
    if read is None:
        known = ", ".join(name for suffixes in readers for name in suffixes)
        raise ValueError(f"{path}: expected a file ending in {known}")
    check_fetched(path)
    table, understood = read(path)
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: the column {twice[0]!r} is there twice")
    if not len(table):
        raise ValueError(f"{path}: holds no rows")
    index = [name for name in table.column_names if name in ("", "Unnamed: 0") or name.startswith("__index_level_")]
    return Columns(table.drop_columns(index) if index else table, understood)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."


def _read_csv(path: Path) -> Columns:
    import pyarrow as pa
    from pyarrow import csv

    separator, understood = _separator(path)
    reading = csv.ReadOptions(use_threads=False, block_size=_BLOCK)  # without threads errors have the row
    parsing = csv.ParseOptions(newlines_in_values=True, delimiter=separator)
    try:
        with csv.open_csv(path, reading, parsing) as reader:
            names = reader.schema.names
        texts = csv.ConvertOptions(column_types={name: pa.string() for name in names}, strings_can_be_null=False)
        table = csv.read_csv(path, reading, parsing, texts)
        table = table.rename_columns([name.strip() for name in table.column_names])
        return _with_points(table, understood) if separator == ";" else Columns(table, understood)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable CSV file ({_one_line(error)})") from None


def _with_points(table: "pa.Table", understood: str) -> Columns:
    """Columns of decimal commas, which come with semicolons, as numbers with points; not of what thousands may be."""
    import pyarrow.compute as pc

    for place, name in enumerate(table.column_names):
        texts = table[name]
        commas = texts.filter(pc.match_substring(texts, ","))
        if not len(commas) or not pc.all(pc.match_substring_regex(texts, _DECIMAL_COMMA)).as_py():
            continue
        if not pc.all(pc.match_substring_regex(commas, _THOUSANDS)).as_py():
            table = table.set_column(place, name, pc.replace_substring(texts, ",", "."))
            understood += f"; decimal commas in {name}"
    return Columns(table, understood)


def _separator(path: Path) -> tuple[str, str]:
    """What separates the columns of a CSV file, by its header, and the words for it where it is no comma."""
    with open(path, "rb") as file:
        header = file.readline(_BLOCK)
    if header[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise ValueError(f"{path}: text in UTF-16; expected UTF-8 (in Excel: CSV UTF-8)")
    outside = "".join(header.decode("utf-8", "replace").split('"')[::2])  # a name in quotes may have anything in it
    counts = {separator: outside.count(separator) for separator in _SEPARATORS}
    found = [separator for separator, count in counts.items() if count]
    if path.suffix.lower() == ".tsv":
        return "\t", ""
    if len(found) > 1:
        names = " and ".join(_SEPARATORS[separator] for separator in found)
        if "," not in found or counts[","] < max(counts.values()):
            raise ValueError(f"{path}: the header has {names}; expected one separator of columns")
        found = [","]
    separator = found[0] if found else ","
    return separator, "" if separator == "," else f"columns separated by {_SEPARATORS[separator]}"


def _read_parquet(path: Path) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        table.validate(full=True)
        _ = table.column_names  # text that is no UTF-8 is found here
        return Columns(table)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({_one_line(error)})") from None


def _read_json(path: Path) -> Columns:
    """JSON Lines, or any of the forms of `json_forms`."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text (byte {error.start})") from None
    if (found := rows_of(text, str(path))) is not None:
        rows, understood = found
        return Columns(_as_table(rows), understood)
    if _brackets_of_a_line(content) <= _MOST_BRACKETS:
        try:
            options = arrow_json.ReadOptions(block_size=_BLOCK)
            table = arrow_json.read_json(pa.BufferReader(text.encode()), read_options=options)
            if not any(pa.types.is_temporal(field.type) for field in table.schema):
                return Columns(table)
        except pa.ArrowException:
            pass  # read line by line, which tells where, or can read more than Arrow
    return Columns(_read_line_by_line(path, content))


def _brackets_of_a_line(content: bytes) -> int:
    """The most opening brackets that a line has: no value in it is nested deeper."""
    characters = np.frombuffer(content, dtype=np.uint8)
    ends = np.append(np.flatnonzero(characters == ord("\n")), len(characters))
    opened = np.flatnonzero((characters == ord("[")) | (characters == ord("{")))
    return int(np.diff(np.searchsorted(opened, ends), prepend=0).max())


def _read_line_by_line(path: Path, content: bytes) -> "pa.Table":
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
    return _as_table(rows)


def _as_table(rows: list[dict[str, Any]]) -> "pa.Table":
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    found = {name: _lists(values) if name in GRAPH_NAMES else None for name, values in columns.items()}
    return pa.table({_plain(name): found[name] or _json_column(values) for name, values in columns.items()})


def _lists(values: list[Any]) -> "pa.Array | None":
    """Lists of names or rows of numbers as they are; None of others, whose text tells what is wrong."""
    import pyarrow as pa

    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, UnicodeError):
        return None
    kind, depth = array.type, 0
    while pa.types.is_list(kind):
        kind, depth = kind.value_type, depth + 1
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    plain = numbers if depth == 2 else depth == 1 and pa.types.is_string(kind)
    return array if plain and not array.null_count else None


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
