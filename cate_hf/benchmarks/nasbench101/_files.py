"""Which file of NAS-Bench-101 results a path means, and what is in it."""

from pathlib import Path

import numpy as np

from cate_hf.benchmarks.nasbench101._cache import CACHE_PATTERN, DAMAGED, METADATA_KEY, PUBLISHED, load_runs, read_cache
from cate_hf.benchmarks.nasbench101._records import RUNS
from cate_hf.benchmarks.nasbench101._tables import CSV_SUFFIX, read_table
from cate_hf.core._files import check_fetched

_PARQUET_SUFFIXES = (".parquet", ".pq")
_EXPECTED = "a .tfrecord file, a Parquet or CSV table of NAS-Bench-101 cells, or a folder with one"


def open_results(
    path: Path, progress: bool = True
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[int, np.ndarray] | None, str]:
    """Results from a published file, a cache of one, a folder with one of either, or a table.

    Returns:
        hashes (N,) S32; fields (N,); runs, epochs -> (8, 3, N), None for a table; what it is, in words.

    Raises:
        ValueError: there is no such file, or it is damaged or another's; one line.
    """
    try:
        file = _find(path)
        kind = _kind(file)
        if kind == "table":
            return *read_table(file), None, f"from the table {file.name}"
        results, source = load_runs(file, progress) if kind == "records" else read_cache(file, progress)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from None
    published = PUBLISHED.get(str(source.get("sha256")))
    name = f"{published} as published" if published else f"{source.get('file')}"
    counts = [f"{epochs}" for epochs in results.epochs]
    fewer = sum(int((results.num_runs(epochs) < RUNS).sum()) for epochs in results.epochs)
    words = f"{RUNS} runs of {', '.join(counts)} epochs from {name}"
    if fewer:
        words += f", {fewer:,} times fewer than {RUNS} of a cell"
    return results.hashes, {"parameters": results.parameters}, results.runs, words


def _find(path: Path) -> Path:
    """The file itself, or the one file of a folder that holds results."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ValueError(f"{path}: no such file; expected {_EXPECTED}")
    for pattern in ("*.tfrecord", CACHE_PATTERN):
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            raise ValueError(f"{path}: holds {' and '.join(file.name for file in found)}; name one of them")
        if found:
            return found[0]
    raise ValueError(f"{path}: a folder without .tfrecord files or a cache of one; expected {_EXPECTED}")


def _kind(path: Path) -> str:
    """ "table", "cache" or "records"."""
    import pyarrow.parquet as pq

    check_fetched(path)
    suffix = path.suffix.lower()
    with open(path, "rb") as file:
        head = file.read(4)
    if suffix == CSV_SUFFIX:
        return "table"
    if suffix in _PARQUET_SUFFIXES or head == b"PAR1":
        try:
            return "cache" if METADATA_KEY in (pq.read_schema(path).metadata or {}) else "table"
        except DAMAGED:
            return "table"  # whose reader says what is wrong
    if head[:2] == b"\x1f\x8b":
        raise ValueError(f"{path}: compressed by gzip; unpack it first")
    return "records"
