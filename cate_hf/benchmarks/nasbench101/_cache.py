"""NAS-Bench-101 runs as small Parquet files, and the cache of those made from the published files.

A column holds the rows of the cells in the space's enumeration, one the difference of their parameters to the
enumeration's, and one each metric of each run: `108/test_accuracy/0`, NaN where a cell has no such run.
"""

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.benchmarks.nasbench101._records import EPOCHS, FIELDS, RUNS
from cate_hf.benchmarks.nasbench101._run_results import RunResults, read_runs
from cate_hf.core._files import atomic_output
from cate_hf.core._progress import progress_bar
from cate_hf.graphs._cache import cache_folder
from cate_hf.spaces import get_space

VERSION = 2
CACHE_PATTERN = f"nasbench101-runs-{VERSION}-*.parquet"
METADATA_KEY = b"cate_hf.nasbench101_runs"
# SHA-256 of the files that google-research/nasbench publishes.
PUBLISHED = {
    "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1": "nasbench_only108.tfrecord",
    "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c": "nasbench_full.tfrecord",
}
# What reading a damaged file may raise; those of pyarrow are among them.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError)


def load_runs(path: Path, progress: bool = True) -> tuple[RunResults, dict[str, Any]]:
    """The runs of a published file, from the cache where it has them; and what the file is: name, size, sha256.

    The cache is keyed by the file's size and SHA-256. A cache folder that cannot be written is no error.

    Raises:
        ValueError: as `read_runs`; or the file changed meanwhile.
        OSError: the file cannot be read.
    """
    source, state = identify(path, progress)
    cache = cache_folder() / CACHE_PATTERN.replace("*", f"{source['size']}-{source['sha256'][:16]}")
    if cache.is_file():
        try:
            return read_cache(cache, progress)
        except (ValueError, OSError):
            pass  # damaged, and made anew below
    results = read_runs(path, progress)
    if _state(path) != state:
        raise ValueError(f"{path}: the file changed while it was read")
    try:
        write_cache(cache, results, source)
    except OSError:
        pass
    return results, source


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def identify(path: Path, progress: bool = True) -> tuple[dict[str, Any], list[int]]:
    """Name, size and SHA-256 of a file, and its state; the hash is remembered for a file that keeps its state.

    Raises:
        ValueError: the file changed while it was read.
        OSError: the file cannot be read.
    """
    state = _state(path)
    resolved = str(path.resolve())
    key = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]
    note = cache_folder() / f"nasbench101-file-{key}.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["path"] == resolved and known["state"] == state and len(known["sha256"]) == 64:
            return {"file": path.name, "size": state[0], "sha256": known["sha256"]}, state
    except (OSError, ValueError, KeyError, TypeError):
        pass
    digest = hashlib.sha256()
    with (
        open(path, "rb") as file,
        progress_bar(f"hashing {path.name}", state[0] // 10**6, "MB", progress and state[0] > 10**9) as advance,
    ):
        while part := file.read(1 << 22):
            digest.update(part)
            advance(len(part) / 1e6)
    if _state(path) != state:
        raise ValueError(f"{path}: the file changed while it was read")
    try:
        with atomic_output(note, overwrite=True) as temporary:
            content = {"path": resolved, "state": state, "sha256": digest.hexdigest()}
            temporary.write_text(json.dumps(content), encoding="utf-8")
    except (OSError, UnicodeEncodeError):
        pass
    return {"file": path.name, "size": state[0], "sha256": digest.hexdigest()}, state


def write_cache(path: Path, results: RunResults, source: dict[str, Any]) -> None:
    """Write runs as Parquet; the file appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    enumeration = get_space("nasbench101").enumerate()
    other_parameters = results.parameters - enumeration.columns["parameters"][results.cells]
    columns = {"cell": results.cells, "other_parameters": other_parameters}
    for epochs, runs in results.runs.items():
        columns |= {name: runs[field, run] for name, field, run in _columns(epochs)}
    checksums = {str(epochs): _checksum(runs) for epochs, runs in results.runs.items()}
    metadata = {
        "version": VERSION,
        "source": source,
        "cells": _checksum(enumeration.columns["hash"]),
        "checksums": checksums,
    }
    table = pa.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(metadata)})
    few_values = [
        name for name in columns if "accuracy" in name or name == "other_parameters"
    ]  # accuracies are k / 9984
    with atomic_output(path, overwrite=True) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=3,
            use_dictionary=few_values,
            use_byte_stream_split=[name for name in columns if "seconds" in name],
            column_encoding={"cell": "DELTA_BINARY_PACKED"},
            write_page_checksum=True,
        )


def _columns(epochs: int | str) -> list[tuple[str, int, int]]:
    """Name, field and run of each column of so many epochs."""
    return [(f"{epochs}/{name}/{run}", field, run) for field, name in enumerate(FIELDS) for run in range(RUNS)]


def read_cache(path: Path, progress: bool = False) -> tuple[RunResults, dict[str, Any]]:
    """The inverse of `write_cache`; the numbers are those that were written, bit for bit.

    Raises:
        ValueError: not such a file, a damaged one, or one of another version.
    """
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        metadata = json.loads(table.schema.metadata[METADATA_KEY])
        if metadata["version"] != VERSION:
            raise ValueError(f"version {metadata['version']}, this package reads {VERSION}")
        enumeration = get_space("nasbench101").enumerate(progress=progress)
        hashes = enumeration.columns["hash"]
        if metadata["cells"] != _checksum(hashes):
            raise ValueError("it was written for another list of cells")
        cells = table["cell"].to_numpy()
        if not len(cells) or (np.diff(cells) <= 0).any() or cells[0] < 0 or cells[-1] >= len(hashes):
            raise ValueError("its cells are not rows of the list of cells")
        parameters = enumeration.columns["parameters"][cells] + table["other_parameters"].to_numpy()
        if parameters.dtype != np.int64 or (parameters <= 0).any():
            raise ValueError("trainable parameters must be above 0")
        runs = {}
        for epochs, checksum in metadata["checksums"].items():
            parts = [table[name].to_numpy() for name, _, _ in _columns(epochs)]
            runs[int(epochs)] = np.stack(parts).reshape(len(FIELDS), RUNS, len(cells))
            if int(epochs) not in EPOCHS or _checksum(runs[int(epochs)]) != checksum:
                raise ValueError("its numbers do not fit their checksum")
        if not runs:
            raise ValueError("it holds no runs")
        return RunResults(cells, hashes[cells], parameters, runs), dict(metadata["source"])
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read as runs of NAS-Bench-101 ({reason[:200]})") from None


def _checksum(numbers: np.ndarray) -> int:
    """CRC-32, for what Parquet's own checksums do not cover, such as the names of the columns."""
    return zlib.crc32(numbers.tobytes())
