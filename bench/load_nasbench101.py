"""Loading NAS-Bench-101's published file format: first and second time, beside a plain Python loop over the records.

Writes a file of all cells and runs in that format (from a table of the published results, which is not part of the
project, with what the table lacks made up), loads it with an empty cache, loads it again, and compares every cell's
mean test accuracy with the table. Plain Python reads the frames, parses each record's JSON, base64 and message, and
keeps the values in a dictionary; its time is that of the first records, times their number.

Usage: python bench/load_nasbench101.py [--table cells.parquet] [--full] [--sample N] [--keep FOLDER]
"""

import argparse
import base64
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import nasbench101_file as file

ENUMERATE = "from cate_hf import get_space; get_space('nasbench101').enumerate()"
# The peak of a process's own memory: getrusage would count that of the process which started it.
FIRST_AND_SECOND = """
import sys, time
from cate_hf import get_space, load_benchmark
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
get_space("nasbench101").enumerate()
before = peak()
for _ in range(3):
    start = time.perf_counter()
    benchmark = load_benchmark("nasbench101", path=sys.argv[1])
    print(time.perf_counter() - start, peak(), before)
"""


def plain_python(path: Path, records: int) -> float:
    """Seconds a record."""
    import google_crc32c

    from cate_hf.benchmarks.nasbench101._records import model_metrics

    kind, results = model_metrics(), {}
    with open(path, "rb") as stream:
        start = time.perf_counter()
        for _ in range(records):
            header = stream.read(12)
            (length,) = struct.unpack("<Q", header[:8])
            data = stream.read(length)
            for part, stored in ((header[:8], header[8:]), (data, stream.read(4))):
                crc = google_crc32c.value(part)
                masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
                if masked != struct.unpack("<I", stored)[0]:
                    raise SystemExit(f"{path}: wrong checksum")
            hash_, epochs, adjacency, operations, text = json.loads(data)
            message = kind.FromString(base64.b64decode(text))
            cell = results.setdefault(hash_, {"adjacency": adjacency, "operations": operations.split(",")})
            for when in message.evaluation_data[1:]:
                cell.setdefault(epochs, []).append(
                    (when.training_time, when.train_accuracy, when.validation_accuracy, when.test_accuracy)
                )
            cell["parameters"] = message.trainable_parameters
        return (time.perf_counter() - start) / records


def compare(path: Path, table) -> None:
    """Print how the queries of all cells compare with the table."""
    from cate_hf import get_space, load_benchmark

    benchmark, cells = load_benchmark("nasbench101", path=path), get_space("nasbench101").enumerate()
    start = time.perf_counter()
    mean = benchmark.query_many(cells)
    seconds = time.perf_counter() - start
    published = table["test_accuracy"].to_numpy()
    rows = np.searchsorted(cells.columns["hash"], np.array(table["hash"].to_pylist(), dtype="U32"))
    counts = np.rint(mean[rows] * 3 * file.IMAGES) == np.rint(published * 3 * file.IMAGES)
    print(f"mean test accuracy of {len(rows):,} cells, in {seconds:.2f} s: {counts.sum():,} with the table's number of")
    print(f"  right images, largest difference {np.abs(mean[rows] - published).max():.1e} (float32 of each run)")
    for field in ("validation_accuracy", "training_seconds"):
        known = ~np.isnan(table[f"{field}_108"].to_numpy())
        found = benchmark.query_many(cells, field, run=0)[rows[known]]
        equal = found == table[f"{field}_108"].to_numpy()[known]
        print(f"{field} of run 0, {known.sum():,} cells that the table has: {equal.sum():,} equal")


def main() -> None:
    default = Path(__file__).parents[2] / "shared" / "data" / "nasbench101" / "cells.parquet"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=os.environ.get("CATE_NASBENCH101_TABLE", default))
    parser.add_argument("--full", action="store_true", help="4, 12, 36 and 108 epochs, as nasbench_full.tfrecord")
    parser.add_argument("--sample", type=int, default=100_000, help="records that plain Python reads")
    parser.add_argument("--keep", type=Path, help="write the file into this folder and leave it there")
    options = parser.parse_args()
    if not Path(options.table).is_file():
        raise SystemExit(f"no table of the published results at {options.table}; give --table")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        path = folder / ("nasbench_full.tfrecord" if options.full else "nasbench_only108.tfrecord")
        table = file.read_published(options.table)
        epochs = (4, 12, 36, 108) if options.full else (108,)
        start = time.perf_counter()
        records = file.write_file(path, table, {number: file.make_runs(table, number) for number in epochs})
        size = path.stat().st_size
        print(f"wrote {records:,} records, {size:,} bytes, in {time.perf_counter() - start:.0f} s")

        os.environ["CATE_HF_CACHE"] = str(Path(temporary) / "cache")
        subprocess.run([sys.executable, "-c", ENUMERATE], check=True)
        command = [sys.executable, "-c", FIRST_AND_SECOND, str(path)]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")
        first, *again = ([float(word) for word in line.split()] for line in lines if line)
        (cache,) = Path(os.environ["CATE_HF_CACHE"]).glob("nasbench101-runs-*")
        print(f"first load: {first[0]:.2f} s (the space's enumeration made before)")
        print(f"second load: {again[0][0]:.2f} s, third {again[1][0]:.2f} s; cache {cache.stat().st_size / 1e6:.1f} MB")
        print(f"peak memory of the first load: {first[1] / 1024:.0f} MiB, {first[2] / 1024:.0f} MiB of it before")
        compare(path, table)

        sample = min(options.sample, records)
        plain = plain_python(path, sample) * records
        print(f"plain Python: {plain:.1f} s for {records:,} records, extrapolated from {sample:,}")
        print(f"plain Python / first load: {plain / first[0]:.1f}")


if __name__ == "__main__":
    main()
