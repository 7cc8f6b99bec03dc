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
            columns = {
                ours: table[theirs].to_numpy().astype(np.float64)
                for ours, theirs in _COLUMNS.items()
                if theirs in names
            }
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
        if not len(table):
            raise ValueError(f"{path}: holds no cells")
        super().__init__(path, "nasbench101", _hashes(path, table["hash"]), columns)


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
    return column.combine_chunks().cast(pa.binary(_HASH_CHARACTERS)).to_numpy(zero_copy_only=False).astype("S32")
