"""Data sets in the cache folder: several processes, damage, memory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cate_hf.data import load_architectures, load_pairs, write_pairs
from cate_hf.data.pairs import write_splits
from cate_hf.graphs._cache import CACHE_VARIABLE

# Loads all data sets when a line comes in, and tells what it got.
LOAD = """
import hashlib, json, sys
import datasets
from cate_hf.data import load_architectures, load_pairs

print("ready", flush=True)
sys.stdin.readline()
found = {"architectures": load_architectures(sys.argv[1]), **load_pairs(sys.argv[1])}
joined = load_pairs(sys.argv[1], architectures=True)["train"]
print(json.dumps({
    "fingerprints": {name: dataset._fingerprint for name, dataset in found.items()},
    "rows": {name: hashlib.sha256(str(dataset[:]).encode()).hexdigest() for name, dataset in found.items()},
    "joined": joined[3],
}))
"""

# Iterates over the data sets of a folder and prints by how many megabytes the process grew.
MEMORY = """
import json, sys
from cate_hf.data import load_pairs

def megabytes():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["RssAnon"].split()[0]) / 1024

def iterate(folder, streaming, architectures):
    peak, rows = 0, 0
    pairs = load_pairs(folder, streaming=streaming, architectures=architectures)["train"]
    if streaming:
        pairs = pairs.with_format("arrow")
    elif architectures:
        pairs = pairs.select(range(10_000))  # Python lists of all would take minutes
    for batch in pairs.iter(batch_size=2000):
        rows += len(batch["first"])
        peak = max(peak, megabytes())
    return rows, peak

warm, folder, architectures = sys.argv[1], sys.argv[2], sys.argv[3] == "joined"
grown = {}
for streaming in (True, False):
    iterate(warm, streaming, architectures)
    before = megabytes()
    rows, peak = iterate(folder, streaming, architectures)
    grown["streamed" if streaming else "mapped"] = (rows, peak - before)
print(json.dumps(grown))
"""


def start(code: str, *arguments: str, cache: Path) -> subprocess.Popen:
    environment = os.environ | {CACHE_VARIABLE: str(cache), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def result(process: subprocess.Popen) -> dict:
    out, err = process.communicate("\n", timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.strip().splitlines()[-1])


def test_two_processes_at_once_and_equal_fingerprints(small, tmp_path, cache, monkeypatch):
    processes = [start(LOAD, small, cache=cache) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    results = [result(process) for process in processes]
    assert results[0] == results[1]
    assert not [path for path in cache.rglob("*") if ".tmp" in path.name or path.name.endswith((".incomplete", ".old"))]
    # In this process, from a file elsewhere, into another cache folder.
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    elsewhere = shutil.copy(small, tmp_path / "copy.yaml")
    found = {"architectures": load_architectures(elsewhere), **load_pairs(elsewhere)}
    assert {name: dataset._fingerprint for name, dataset in found.items()} == results[0]["fingerprints"]
    assert len(set(results[0]["fingerprints"].values())) == 3


def damage_all(folder: Path, pattern: str, change) -> int:
    files = [path for path in folder.rglob(pattern) if path.is_file()]
    for path in files:
        change(path)
    return len(files)


CHANGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "nonsense": lambda path: path.write_bytes(b"nonsense" * 20),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("pattern", ["*.parquet", "*.arrow", "*.json", "*"])
def test_a_damaged_cache_is_made_anew(small, cache, pattern, change):
    architectures, pairs = load_architectures(small), load_pairs(small)
    rows, first = architectures[:100], pairs["validation"][:]
    fingerprints = architectures._fingerprint, pairs["train"]._fingerprint
    del architectures, pairs
    assert damage_all(cache, pattern, CHANGES[change]) >= 3
    streamed = list(load_pairs(small, streaming=True, architectures=True)["validation"])
    assert [row["first"] for row in streamed] == first["first"]
    architectures, pairs = load_architectures(small), load_pairs(small)
    assert architectures[:100] == rows
    assert pairs["validation"][:] == first
    assert (architectures._fingerprint, pairs["train"]._fingerprint) == fingerprints


def test_a_changed_byte_in_the_files_is_seen(small, cache):
    rows = list(load_pairs(small, streaming=True)["train"])
    (path,) = cache.rglob("train.parquet")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert list(load_pairs(small, streaming=True)["train"]) == rows


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc to measure memory")
def test_memory_does_not_grow_with_the_pairs(small, tmp_path, cache):
    write_pairs(small, tmp_path / "warm")
    large = shutil.copytree(tmp_path / "warm", tmp_path / "large")
    first = np.arange(8_000_000, dtype=np.int32) // 2000
    write_splits({"train": np.column_stack([first, first[::-1]])}, large)  # 64 MB as arrays
    grown = result(start(MEMORY, str(tmp_path / "warm"), str(large), "alone", cache=cache))
    for rows, megabytes in grown.values():
        assert rows == 8_000_000
        assert megabytes < 32
    del first
    large = shutil.copytree(tmp_path / "warm", tmp_path / "joined")
    first = np.arange(400_000, dtype=np.int32) // 100
    write_splits({"train": np.column_stack([first, first[::-1]])}, large)  # 100 MB and more with architectures
    grown = result(start(MEMORY, str(tmp_path / "warm"), str(large), "joined", cache=cache))
    assert grown["streamed"][0] == 400_000
    assert grown["mapped"][0] == 10_000
    assert max(megabytes for _, megabytes in grown.values()) < 32
