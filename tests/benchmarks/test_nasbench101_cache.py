"""Runs of NAS-Bench-101 kept as Parquet: found again, whole, and bit for bit."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cate_hf import get_space, load_benchmark
from cate_hf.benchmarks.nasbench101 import _cache as nasbench101_cache
from cate_hf.benchmarks.nasbench101._records import FIELDS
from cate_hf.benchmarks.nasbench101._run_results import RunResults
from cate_hf.graphs._cache import cache_folder
from tests import nasbench101_file as file

SPACE = get_space("nasbench101")
CELLS = SPACE.sample(50, seed=1)
HASHES = CELLS.columns["hash"].tolist()
FUZZ = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def never_read(*arguments, **settings):
    raise AssertionError("the published file was read again")


def test_the_second_load_is_from_the_cache(published, runs, cache, monkeypatch):
    first = load_benchmark("nasbench101", path=published)
    (stored,) = cache.glob("nasbench101-runs-*.parquet")
    size = published.stat().st_size
    assert stored.stat().st_size < size / 4
    assert f"-{size}-" in stored.name
    monkeypatch.setattr(nasbench101_cache, "read_runs", never_read)
    monkeypatch.setattr(nasbench101_cache.hashlib, "file_digest", never_read)
    for path in (published, published.parent, cache, stored):
        again = load_benchmark("nasbench101", path=path)
        assert repr(again) == repr(first)
        assert np.array_equal(again.hashes, first.hashes)
        for field in FIELDS:
            assert np.array_equal(again.query_many(CELLS, field, run=1), file.column(runs, field)[:, 1])
    assert not list(cache.glob(".*"))


def test_the_hash_of_an_unchanged_file_is_remembered(published, cache, tmp_path, monkeypatch):
    moved = tmp_path / "a.tfrecord"
    shutil.copy(published, moved)
    source, state = nasbench101_cache.identify(moved)
    reads = []
    real = nasbench101_cache.hashlib.sha256
    monkeypatch.setattr(nasbench101_cache.hashlib, "sha256", lambda *data: reads.append(not data) or real(*data))
    assert nasbench101_cache.identify(moved) == (source, state)
    assert True not in reads
    os.utime(moved, (1, 1))  # touched: hashed again, to the same
    assert nasbench101_cache.identify(moved)[0] == source
    assert True in reads
    (note,) = cache.glob("nasbench101-file-*.json")
    for text in ("", "[]", "{}", '{"path": 3}', '{"path": 3, "state": [], "sha256": null}', "\xff"):
        note.write_text(text, encoding="latin-1")
        assert nasbench101_cache.identify(moved)[0] == source


def test_a_changed_file_is_read_anew(runs, tmp_path, cache):
    path, table = tmp_path / "x.tfrecord", file.made_up_table(CELLS)
    file.write_file(path, table, {108: runs[108]})
    assert load_benchmark("nasbench101", path=path).query(CELLS[0], run=0)["test_accuracy"] == runs[108][0, 0, -1]
    other = {108: runs[108][:, ::-1]}
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    file.write_file(path, table, other)
    os.utime(path, ns=(time, time))  # the same size and time
    assert path.stat().st_size == size
    assert load_benchmark("nasbench101", path=path).query(CELLS[0], run=0)["test_accuracy"] == runs[108][0, 2, -1]
    assert len(list(cache.glob("nasbench101-runs-*"))) == 2
    with pytest.raises(ValueError, match=r"cache: holds nasbench101-runs-.* and .*; name one of them"):
        load_benchmark("nasbench101", path=cache)


def test_a_file_that_changes_while_it_is_read(published, tmp_path, cache, monkeypatch):
    path = tmp_path / "x.tfrecord"
    shutil.copy(published, path)
    real = nasbench101_cache.read_runs

    def touched(*arguments):
        results = real(*arguments)
        path.write_bytes(path.read_bytes()[:-1])
        return results

    monkeypatch.setattr(nasbench101_cache, "read_runs", touched)
    with pytest.raises(ValueError, match="x.tfrecord: the file changed while it was read"):
        load_benchmark("nasbench101", path=path)
    assert not list(cache.glob("nasbench101-runs-*"))


def test_damaged_caches_are_made_anew(published, cache):
    first = load_benchmark("nasbench101", path=published)
    (stored,) = cache.glob("nasbench101-runs-*.parquet")
    content = stored.read_bytes()
    for damaged in (b"", content[:-5], content[:400] + bytes(40) + content[440:], b"PAR1" * 30):
        stored.write_bytes(damaged)
        again = load_benchmark("nasbench101", path=published)
        assert np.array_equal(again.query_many(CELLS), first.query_many(CELLS))
        assert stored.read_bytes() == content
        stored.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(str(stored))) as error:
            load_benchmark("nasbench101", path=stored)
        assert "\n" not in str(error.value)
        stored.write_bytes(content)


def test_a_cache_folder_that_cannot_be_written(published, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr(nasbench101_cache, "cache_folder", lambda: tmp_path / "taken" / "cache")
    assert len(load_benchmark("nasbench101", path=published)) == 50


@FUZZ
@given(st.data())
def test_changed_caches_raise_nothing_else(published, runs, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    folder.mkdir(exist_ok=True)
    stored = folder / "whole.parquet"
    if not stored.exists():
        results, source = nasbench101_cache.read_runs(published), {"file": "a"}
        nasbench101_cache.write_cache(stored, results, source)
    content = bytearray(stored.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "x.parquet"
    path.write_bytes(content)
    try:
        bench = load_benchmark("nasbench101", path=path)
    except ValueError as error:
        said = str(error)
    else:  # what is not noticed, such as the name of the file that it was made from, changes no number
        assert np.array_equal(bench.query_many(CELLS, "test_accuracy", run=1), file.column(runs, "test_accuracy")[:, 1])
        assert np.array_equal(bench.query_many(CELLS, "parameters"), CELLS.columns["parameters"])
        return
    assert str(path) in said
    assert "\n" not in said


def test_two_processes_load_at_once(published, tmp_path):
    """Neither sees the other's half-written cache."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for made in cache_folder().glob("nasbench101-1.parquet"):
        shutil.copy(made, folder)
    code = (
        "import sys; from cate_hf import load_benchmark; b = load_benchmark('nasbench101', path=sys.argv[1]); "
        "print(len(b), b.best())"
    )
    environment = os.environ | {"CATE_HF_CACHE": str(folder)}
    command = [sys.executable, "-c", code, str(published)]
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert said[0][0].startswith(b"50 ")
    assert len(list(folder.glob("nasbench101-runs-*.parquet"))) == 1
    assert not list(folder.glob(".*"))


# Numbers as published and beside them: zeros, numbers of no whole count, the smallest and the largest.
ACCURACY = st.one_of(
    st.integers(0, 9984).map(lambda k: float(np.float32(k / 9984))),
    st.integers(0, 9984).map(lambda k: k / 9984),
    st.integers(0, 10000).map(lambda k: k / 10000),
    st.floats(0, 1),
)
SECONDS = st.one_of(
    st.integers(0, 6_000_000).map(lambda k: float(np.float32(k / 1000))),
    st.integers(0, 6_000_000).map(lambda k: float(np.nextafter(np.float32(k / 1000), np.float32(1e9)))),
    st.floats(0, 1e6),
    st.sampled_from([0.0, -0.0, 5e-324, 1.7e308, 2.0**31]),
)


@pytest.mark.long
@settings(deadline=None, max_examples=50)  # each writes a file
@given(st.data())
def test_stored_runs_are_the_same_numbers_bit_for_bit(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    n = data.draw(st.integers(1, 6))
    kind = data.draw(st.sampled_from([np.float32, np.float64]))
    runs = np.empty((8, 3, n))
    for field, name in enumerate(FIELDS):
        one = data.draw(st.sampled_from([*(ACCURACY if "accuracy" in name else SECONDS).original_strategies]))
        runs[field] = np.array(data.draw(st.lists(one, min_size=3 * n, max_size=3 * n))).reshape(3, n)
    with np.errstate(over="ignore"):
        runs = np.minimum(runs.astype(kind), np.finfo(kind).max)
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=int)
    runs[:, np.arange(3)[:, None] >= counts] = np.nan
    cells = np.arange(n, dtype=np.int32)
    written = RunResults(cells, SPACE.enumerate().columns["hash"][:n], np.ones(n, np.int64), {108: runs})
    nasbench101_cache.write_cache(folder / "x.parquet", written, {"file": "a"})
    again = nasbench101_cache.read_cache(folder / "x.parquet")[0].runs[108]
    assert again.dtype == runs.dtype
    assert again.tobytes() == runs.tobytes()


def test_numbers_beyond_single_precision_are_kept(runs, tmp_path, cache):
    path, table = tmp_path / "double.tfrecord", file.made_up_table(CELLS)
    double = {108: runs[108].copy()}
    double[108][30, 1] += 1e-12
    file.write_file(path, table, double)
    for _ in range(2):
        bench = load_benchmark("nasbench101", path=path)
        for field in FIELDS:
            for run in range(3):
                assert np.array_equal(bench.query_many(CELLS, field, run=run), file.column(double, field)[:, run])


def test_parameters_are_those_of_the_file(runs, tmp_path, cache):
    table = file.made_up_table(CELLS)
    other = table["parameters"].to_numpy() + 1
    table = table.set_column(table.schema.get_field_index("parameters"), "parameters", pa.array(other))
    file.write_file(tmp_path / "x.tfrecord", table, {108: runs[108]})
    for _ in range(2):
        bench = load_benchmark("nasbench101", path=tmp_path / "x.tfrecord")
        assert np.array_equal(bench.query_many(CELLS, "parameters"), other)
