"""NAS-Bench-101 results from a table of cells, Parquet or CSV: hash, mean test accuracy, and what else is known."""

from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.benchmarks.nasbench101._records import FIELDS

CSV_SUFFIX = ".csv"
# Our field ← the file's column: under our own name, or with the number of epochs.
_RENAMED = {"validation_accuracy": "validation_accuracy_108", "training_seconds": "training_seconds_108"}
_SHORTER = ("validation_accuracy_4", "validation_accuracy_12", "validation_accuracy_36")
_ORDER = ("test_accuracy", "validation_accuracy", "training_seconds", "parameters", *_SHORTER)
TABLE_FIELDS = (*_ORDER, *(name for name in FIELDS if name not in _ORDER))
_REQUIRED = ("hash", "test_accuracy")
_HASH_CHARACTERS = 32


def read_table(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Hashes (N,) S32 and fields (N,) of a Parquet or CSV file with the columns hash, test_accuracy and others.

    Raises:
        ValueError: the file is not such a table; names the column and row of what is wrong.
    """
    import pyarrow as pa

    try:
        table, columns = _read_csv(path) if path.suffix.lower() == CSV_SUFFIX else _read_parquet(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError, ArithmeticError, RuntimeError) as error:
        kind = "CSV" if path.suffix.lower() == CSV_SUFFIX else "Parquet"
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: cannot be read as {kind} ({reason})") from None
    if not len(table):
        raise ValueError(f"{path}: holds no cells")
    fields = {ours: _numbers(path, ours, theirs, table[theirs]) for ours, theirs in columns.items()}
    return _hashes(path, table["hash"]), fields


def _columns(path: Path, names: list[str]) -> dict[str, str]:
    """Our field -> the file's column, of those that it has."""
    for name in _REQUIRED:
        if name not in names:
            raise ValueError(f"{path}: not a table of NAS-Bench-101 results: no column {name!r}")
    for name in ("hash", *TABLE_FIELDS, *_RENAMED.values()):
        if names.count(name) > 1:
            raise ValueError(f"{path}: column {name!r} is there {names.count(name)} times")
    for ours, theirs in _RENAMED.items():
        if ours in names and theirs in names:
            raise ValueError(f"{path}: columns {ours!r} and {theirs!r} are the same field; keep one")
    found = {ours: ours if ours in names else _RENAMED.get(ours) for ours in TABLE_FIELDS}
    return {ours: theirs for ours, theirs in found.items() if theirs in names}


def _read_parquet(path: Path) -> tuple[Any, dict[str, str]]:
    import pyarrow.parquet as pq

    columns = _columns(path, pq.read_schema(path).names)
    return pq.read_table(path, columns=["hash", *columns.values()]), columns


def _read_csv(path: Path) -> tuple[Any, dict[str, str]]:
    import pyarrow as pa
    from pyarrow import csv

    if not path.stat().st_size:
        raise ValueError(f"{path}: the file is empty")
    # A hash of digits alone must not become a number.
    options = csv.ConvertOptions(column_types={"hash": pa.string()}, strings_can_be_null=False)
    table = csv.read_csv(path, convert_options=options)
    columns = _columns(path, table.column_names)
    return table.select(["hash", *columns.values()]), columns


def _numbers(path: Path, field: str, name: str, column: Any) -> np.ndarray:
    """(N,) float64 with NaN for null, or int64. Raises ValueError for other types and for what no training has."""
    import pyarrow as pa

    if pa.types.is_null(column.type):  # a CSV column without any value
        return np.full(len(column), np.nan)
    if pa.types.is_integer(column.type) and not column.null_count:
        values = column.to_numpy().astype(np.int64)
    elif pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        values = column.to_numpy().astype(np.float64)
    else:
        raise ValueError(f"{path}: column {name!r} must hold numbers, not {column.type}")
    most, expected = (1, "accuracies must be in [0, 1]") if "accuracy" in field else (np.inf, "must be 0 or more")
    wrong = np.flatnonzero((values < 0) | (values > most) | np.isinf(values))
    if len(wrong):
        raise ValueError(f"{path}, row {wrong[0]}: {name} is {values[wrong[0]]}; {expected}")
    return values


def _hashes(path: Path, column: Any) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(f"{path}: column 'hash' must hold strings, not {column.type}")
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    wrong = np.flatnonzero(lengths != _HASH_CHARACTERS)
    if len(wrong):
        raise ValueError(f"{path}, row {wrong[0]}: column 'hash' must hold {_HASH_CHARACTERS} hexadecimal characters")
    # The characters lie end to end in Arrow's last buffer: no object a hash is made.
    characters = column.cast(pa.string()).combine_chunks()
    characters = characters if isinstance(characters, pa.Array) else pa.concat_arrays(characters.chunks)
    start = characters.offset * _HASH_CHARACTERS
    size = len(characters) * _HASH_CHARACTERS
    return np.frombuffer(characters.buffers()[2], dtype=np.uint8, count=size, offset=start).view(f"S{_HASH_CHARACTERS}")
