"""NAS-Bench-101 results from a table of cells: hash, mean test accuracy, parameters, and one run's history for some."""

import os
from pathlib import Path

import numpy as np

from cate_hf.benchmarks.base import Benchmark

# Our field ← the file's column.
_COLUMNS = {
    "test_accuracy": "test_accuracy",
    "validation_accuracy": "validation_accuracy_108",
    "training_seconds": "training_seconds_108",
    "parameters": "parameters",
    "validation_accuracy_4": "validation_accuracy_4",
    "validation_accuracy_12": "validation_accuracy_12",
    "validation_accuracy_36": "validation_accuracy_36",
}
_REQUIRED = ("hash", "test_accuracy")
_HASH_CHARACTERS = 32


class NasBench101Benchmark(Benchmark):
    """NAS-Bench-101 (Ying et al. 2019), read from one Parquet file."""

    name = "nasbench101"
    space_name = "nasbench101"
    oracles = {
        "test_accuracy": "mean test accuracy of 3 runs of 108 epochs",
        "validation_accuracy": "one run's validation accuracy after 108 epochs",
        "training_seconds": "one run's training time, 108 epochs",
        "parameters": "trainable parameters",
        "validation_accuracy_4": "one run's validation accuracy after 4 epochs",
        "validation_accuracy_12": "one run's validation accuracy after 12 epochs",
        "validation_accuracy_36": "one run's validation accuracy after 36 epochs",
    }

    def __init__(self, path: str | os.PathLike):
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        if not path.is_file():
            raise ValueError(f"{path}: no such file; expected a Parquet table of NAS-Bench-101 cells")
        try:
            names = pq.read_schema(path).names
            lacking = [name for name in _REQUIRED if name not in names]
            if lacking:
                raise ValueError(f"{path}: not a table of NAS-Bench-101 results: no column {lacking[0]!r}")
            wanted = [name for name in _COLUMNS.values() if name in names]
            table = pq.read_table(path, columns=["hash", *wanted])
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
        if not len(table):
            raise ValueError(f"{path}: holds no cells")
        columns = {ours: _numbers(path, ours, table[theirs]) for ours, theirs in _COLUMNS.items() if theirs in names}
        super().__init__(path, "nasbench101", _hashes(path, table["hash"]), columns)


BENCHMARK = NasBench101Benchmark


def _numbers(path: Path, field: str, column) -> np.ndarray:
    """(N,) float64 with NaN for null, or int64. Raises ValueError for other types, and accuracies outside [0, 1]."""
    import pyarrow as pa

    if pa.types.is_integer(column.type) and not column.null_count:
        return column.to_numpy().astype(np.int64)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ValueError(f"{path}: column {_COLUMNS[field]!r} must hold numbers, not {column.type}")
    values = column.to_numpy().astype(np.float64)
    if "accuracy" in field:
        wrong = np.flatnonzero((values < 0) | (values > 1))
        if len(wrong):
            raise ValueError(
                f"{path}, row {wrong[0]}: {_COLUMNS[field]} is {values[wrong[0]]}; accuracies must be in [0, 1]"
            )
    return values


def _hashes(path: Path, column) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(f"{path}: column 'hash' must hold strings, not {column.type}")
    lengths = pc.binary_length(column).to_numpy()
    wrong = np.flatnonzero(lengths != _HASH_CHARACTERS)
    if column.null_count or len(wrong):
        row = int(wrong[0]) if len(wrong) else 0
        raise ValueError(f"{path}, row {row}: column 'hash' must hold {_HASH_CHARACTERS} hexadecimal characters")
    # The characters lie end to end in Arrow's last buffer: no object a hash is made.
    characters = column.cast(pa.string()).combine_chunks()
    start = characters.offset * _HASH_CHARACTERS
    size = len(characters) * _HASH_CHARACTERS
    return np.frombuffer(characters.buffers()[2], dtype=np.uint8, count=size, offset=start).view(f"S{_HASH_CHARACTERS}")
