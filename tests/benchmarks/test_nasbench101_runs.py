"""NAS-Bench-101 with every run: queries by epochs and run, the cache, and the files that it is read from."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv

from cate_hf import get_space, load_benchmark
from cate_hf.benchmarks import nasbench101_cache
from cate_hf.benchmarks.nasbench101_codec import decode_runs, encode_runs
from cate_hf.benchmarks.nasbench101_records import FIELDS
from cate_hf.benchmarks.nasbench101_runs import RunResults
from cate_hf.spaces.cache import cache_folder
from tests import nasbench101_file as file

SPACE = get_space("nasbench101")
CELLS = SPACE.sample(50, seed=1)
HASHES = [h.decode() for h in CELLS.columns["hash"].tolist()]
FUZZ = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache folder for results, empty; the space's enumeration stays where it is."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(nasbench101_cache, "cache_folder", lambda: folder)
    return folder


@pytest.fixture(scope="module")
def runs():
    table = file.made_up_table(CELLS)
    return {epochs: file.make_runs(table, epochs) for epochs in (4, 108)}


@pytest.fixture(scope="module")
def published(runs, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("published") / "results.tfrecord"
    file.write_file(path, file.made_up_table(CELLS), runs)
    return path


@pytest.fixture
def bench(published, cache):
    return load_benchmark("nasbench101", path=published, seed=7)


def column(runs, field: str, epochs: int = 108) -> np.ndarray:
    """(N, 3) of one field."""
    return runs[epochs][..., FIELDS.index(field)]


def test_queries_by_epochs_and_run(bench, runs):
    assert bench.epochs == [4, 108]
    for field in FIELDS:
        assert np.array_equal(bench.query_many(CELLS, field), column(runs, field).sum(axis=1) / 3)
        for epochs in (4, 108):
            for run in range(3):
                found = bench.query_many(CELLS, field, epochs=epochs, run=run)
                assert np.array_equal(found, column(runs, field, epochs)[:, run])
    one = bench.query(CELLS[3], epochs=4, run=2)
    assert one == {field: column(runs, field, 4)[3, 2] for field in FIELDS} | {
        "parameters": CELLS.columns["parameters"][3]
    }
    assert isinstance(one["parameters"], int)
    assert bench.query(CELLS[3], "halfway_test_accuracy", run=1) == column(runs, "halfway_test_accuracy")[3, 1]
    best, value = bench.best("validation_accuracy", run=0)
    row = column(runs, "validation_accuracy")[:, 0].argmax()
    assert (best.encode(), value) == (CELLS.columns["hash"][row], column(runs, "validation_accuracy")[row, 0])


def test_random_runs_follow_the_seed(bench, runs, published):
    def draw(benchmark):
        many = benchmark.query_many(CELLS, "test_accuracy", run="random")
        return [*many.tolist(), *(benchmark.query(CELLS[0], run="random")["training_seconds"] for _ in range(12))]

    first = draw(bench)
    assert draw(bench) != first
    bench.reset()
    assert draw(bench) == first
    assert draw(load_benchmark("nasbench101", path=published, seed=7)) == first
    assert draw(load_benchmark("nasbench101", path=published)) != first
    assert all(value in column(runs, "test_accuracy")[row] for row, value in enumerate(first[:50]))
    assert set(first[50:]) == set(column(runs, "training_seconds")[0])
    result = bench.query(CELLS[1], run="random")  # one run, not a mixture
    assert [result[field] for field in FIELDS] in runs[108][1].tolist()
    for seed in (-1, 1.5, True, "a"):
        with pytest.raises(ValueError, match="seed must be an integer, 0 or more"):
            load_benchmark("nasbench101", path=published, seed=seed)


def test_simulated_time_is_that_of_what_was_asked_for(bench, runs):
    seconds, half = column(runs, "training_seconds"), column(runs, "halfway_training_seconds")
    assert bench.simulated_seconds == 0
    expected = 0.0
    for run in range(3):
        bench.query(CELLS[5], run=run)
        expected += seconds[5, run]
        assert bench.simulated_seconds == pytest.approx(expected)
    bench.query(CELLS[6], "validation_accuracy", epochs=4)
    expected += column(runs, "training_seconds", 4)[6].mean()
    bench.query(CELLS[6], "halfway_test_accuracy", run=1)
    expected += half[6, 1]
    bench.query(CELLS[6], "parameters")
    bench.best()
    bench.oracle("test_accuracy")
    assert bench.simulated_seconds == pytest.approx(expected)
    with pytest.raises(ValueError, match="no field"):
        bench.query(CELLS[6], "latency")
    assert bench.simulated_seconds == pytest.approx(expected)
    bench.query_many(CELLS)
    assert bench.simulated_seconds == pytest.approx(expected + seconds.mean(axis=1).sum())
    bench.reset()
    accuracy = bench.query_many(CELLS, run="random")
    drawn = seconds[np.arange(50), (column(runs, "test_accuracy") == accuracy[:, None]).argmax(axis=1)]
    assert bench.simulated_seconds == pytest.approx(drawn.sum(), rel=1e-2)
    bench.reset()
    assert bench.simulated_seconds == 0


def test_what_a_number_is_and_where_it_is_from(bench, published):
    assert bench.oracle("test_accuracy") == "mean test accuracy of 3 runs of 108 epochs"
    assert bench.oracle("validation_accuracy", epochs=4, run=0) == "validation accuracy of run 0 of 4 epochs"
    assert "a random run" in bench.oracle("train_accuracy", run="random")
    assert bench.oracle("halfway_training_seconds") == (
        "mean half-way training time in seconds of 3 runs of 108 epochs"
    )
    assert bench.oracle("parameters") == "trainable parameters"
    assert repr(bench).endswith("; 3 runs of 4, 108 epochs from results.tfrecord>")
    assert "50 architectures of nasbench101" in repr(bench)


@pytest.mark.parametrize("epochs", [12, 0, "108", True, None.__class__])
def test_epochs_that_are_not_there(bench, epochs):
    with pytest.raises(ValueError, match=r"no results of .* epochs in .*results.tfrecord; it has 4, 108"):
        bench.query(CELLS[0], epochs=epochs)


@pytest.mark.parametrize("run", [3, -1, "all", None, True, 1.5])
def test_runs_that_cannot_be(bench, run):
    for ask in (bench.query, bench.query_many):
        with pytest.raises(ValueError, match="run must be 'mean', 'random', or 0, 1 or 2, not"):
            ask(CELLS[0] if ask == bench.query else CELLS, run=run)


def test_a_cell_with_fewer_runs(runs, tmp_path, cache):
    """Cell 0 lacks its run 2, cell 1 all runs of 108 epochs."""
    table, path = file.made_up_table(CELLS), tmp_path / "fewer.tfrecord"
    hashes = [h.decode() for h in CELLS.columns["hash"].tolist()]
    drawn, records = file.drawings(table), []
    for epochs, values in runs.items():
        for row, run in np.ndindex(50, 3):
            if epochs == 108 and ((row, run) == (0, 2) or row == 1):
                continue
            parameters = int(CELLS.columns["parameters"][row])
            message = file.metrics_message(epochs, values[row, run].tolist(), parameters)
            records.append(file.frame(file.record(hashes[row], epochs, *drawn[row], message)))
    path.write_bytes(b"".join(records))
    for _ in range(2):  # from the file, then from the cache
        bench = load_benchmark("nasbench101", path=path)
        accuracy = column(runs, "test_accuracy")
        assert bench.query(CELLS[0])["test_accuracy"] == accuracy[0, :2].sum() / 2
        assert bench.query(CELLS[0], "test_accuracy", run=1) == accuracy[0, 1]
        with pytest.raises(ValueError, match=rf"cell {hashes[0]} has 2 runs of 108 epochs .*asked for run 2"):
            bench.query(CELLS[0], run=2)
        for run in ("mean", "random", 0):
            with pytest.raises(ValueError, match=f"cell {hashes[1]} has 0 runs of 108 epochs"):
                bench.query(CELLS[1], run=run)
        assert {bench.query(CELLS[0], "test_accuracy", run="random") for _ in range(15)} == set(accuracy[0, :2])
        with pytest.raises(ValueError, match="no 'test_accuracy' for 2 of 50 architectures, first row 0"):
            bench.query_many(CELLS, run=2)
        bench.reset()
        found = bench.query_many(CELLS, run=2, missing="nan")
        assert np.isnan(found[:2]).all()
        assert np.array_equal(found[2:], accuracy[2:, 2])
        assert bench.simulated_seconds == pytest.approx(column(runs, "training_seconds")[2:, 2].sum())
        assert bench.query(CELLS[1], epochs=4, run=2)["test_accuracy"] == column(runs, "test_accuracy", 4)[1, 2]
        assert bench.oracle("test_accuracy") == "mean test accuracy of up to 3 runs of 108 epochs"
        assert repr(bench).endswith("results.tfrecord>") or "2 times fewer than 3 of a cell" in repr(bench)


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
            assert np.array_equal(again.query_many(CELLS, field, run=1), column(runs, field)[:, 1])
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
        assert np.array_equal(bench.query_many(CELLS, "test_accuracy", run=1), column(runs, "test_accuracy")[:, 1])
        assert np.array_equal(bench.query_many(CELLS, "parameters"), CELLS.columns["parameters"])
        return
    assert str(path) in said
    assert "\n" not in said


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@FUZZ
@given(data=st.data())
def test_changed_tables_raise_nothing_else(suffix, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    folder.mkdir(exist_ok=True)
    whole, path = folder / f"table{suffix}", folder / f"changed{suffix}"
    if not whole.exists():
        table = pa.table({"hash": HASHES, "test_accuracy": np.linspace(0.5, 0.9, 50), "parameters": np.arange(50)})
        pq.write_table(table, whole) if suffix == ".parquet" else csv.write_csv(table, whole)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        load_benchmark("nasbench101", path=path)
    except ValueError as error:
        said = str(error)
    else:
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


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_stored_runs_are_the_same_numbers_bit_for_bit(data):
    n = data.draw(st.integers(0, 6))
    kind = data.draw(st.sampled_from([np.float32, np.float64]))
    runs = np.empty((8, 3, n))
    for field, name in enumerate(FIELDS):
        one = data.draw(st.sampled_from([*(ACCURACY if "accuracy" in name else SECONDS).original_strategies]))
        runs[field] = np.array(data.draw(st.lists(one, min_size=3 * n, max_size=3 * n))).reshape(3, n)
    with np.errstate(over="ignore"):
        runs = np.minimum(runs.astype(kind), np.finfo(kind).max)
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=int)
    runs[:, np.arange(3)[:, None] >= counts] = np.nan
    columns, how = encode_runs(runs)
    again = decode_runs(columns, json.loads(json.dumps(how)))
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
                assert np.array_equal(bench.query_many(CELLS, field, run=run), column(double, field)[:, run])


def test_parameters_are_those_of_the_file(runs, tmp_path, cache):
    table = file.made_up_table(CELLS)
    other = table["parameters"].to_numpy() + 1
    table = table.set_column(table.schema.get_field_index("parameters"), "parameters", pa.array(other))
    file.write_file(tmp_path / "x.tfrecord", table, {108: runs[108]})
    for _ in range(2):
        bench = load_benchmark("nasbench101", path=tmp_path / "x.tfrecord")
        assert np.array_equal(bench.query_many(CELLS, "parameters"), other)


def test_folders_and_other_files(published, tmp_path, cache):
    with pytest.raises(ValueError, match=r"nowhere: no such file; expected a .tfrecord file"):
        load_benchmark("nasbench101", path=tmp_path / "nowhere")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"folder: a folder without .tfrecord files"):
        load_benchmark("nasbench101", path=folder)
    for name in ("a.tfrecord", "b.tfrecord"):
        shutil.copy(published, folder / name)
    with pytest.raises(ValueError, match=r"folder: holds a.tfrecord and b.tfrecord; name one of them"):
        load_benchmark("nasbench101", path=folder)
    (folder / "a.tfrecord").unlink()
    assert len(load_benchmark("nasbench101", path=folder)) == 50
    (folder / "x.gz").write_bytes(b"\x1f\x8b" + bytes(100))
    with pytest.raises(ValueError, match=r"x.gz: compressed by gzip; unpack it first"):
        load_benchmark("nasbench101", path=folder / "x.gz")


def csv_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_table(tmp_path):
    rows = [f"{h},{0.9 + i / 1000},{'' if i else 0.875},{1000 + i}" for i, h in enumerate(HASHES)]
    text = "\n".join(["hash,test_accuracy,halfway_test_accuracy,training_seconds", *rows]) + "\n"
    bench = load_benchmark("nasbench101", path=csv_file(tmp_path / "mine.csv", text))
    assert np.allclose(bench.query_many(CELLS), 0.9 + np.arange(50) / 1000, atol=1e-15)
    assert bench.query(CELLS[0])["halfway_test_accuracy"] == 0.875
    assert "halfway_test_accuracy" not in bench.query(CELLS[1])
    assert "as the table gives it" in bench.oracle("halfway_test_accuracy")
    bench.reset()
    bench.query_many(CELLS[:3])
    assert bench.simulated_seconds == 1000 + 1001 + 1002
    assert repr(bench).endswith("from the table mine.csv>")
    with pytest.raises(ValueError, match=r"mine.csv is a table with one number a cell, .*run must be 'mean', not 0"):
        bench.query(CELLS[0], run=0)
    with pytest.raises(ValueError, match=r"no results of 12 epochs in .*mine.csv; it has 108"):
        bench.query_many(CELLS, epochs=12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("\n\n", "cannot be read as CSV|no column"),
        ("hash,accuracy\n", "no column 'test_accuracy'"),
        ("hash,test_accuracy\n", "holds no cells"),
        ("hash,test_accuracy\n" + "1" * 32 + ",0.5\n" + "1" * 32 + ",0.5\n", "is in two rows"),
        (f"hash,test_accuracy\n{HASHES[0]},high\n", "'test_accuracy' must hold numbers, not string"),
        (f"hash,test_accuracy\n{HASHES[0]},0.9\n{HASHES[1]},93\n", r"row 1: test_accuracy is 93.0; .* in \[0, 1\]"),
        (f"hash,test_accuracy,training_seconds\n{HASHES[0]},0.9,-3\n", r"row 0: training_seconds is -3; .* 0 or more"),
        (f"hash,test_accuracy\n{HASHES[0]},0.9,5\n", "cannot be read as CSV .*Expected 2 columns, got 3"),
        (f"hash,test_accuracy,test_accuracy\n{HASHES[0]},0.9,5\n", "'test_accuracy' is there 2 times"),
        (
            f"hash,test_accuracy,training_seconds,training_seconds_108\n{HASHES[0]},0.9,5,5\n",
            "'training_seconds' and 'training_seconds_108' are the same field",
        ),
        ("hash,test_accuracy\nab,0.5\n", "row 0: column 'hash' must hold 32"),
    ],
)
def test_bad_csv_tables_are_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(ValueError, match=said) as error:
        load_benchmark("nasbench101", path=csv_file(tmp_path / "bad.csv", text))
    assert "\n" not in str(error.value)
    assert "bad.csv" in str(error.value)


def test_unknown_times_make_the_simulated_time_unknown(tmp_path):
    text = "\n".join(["hash,test_accuracy", *(f"{h},0.9" for h in HASHES)])
    bench = load_benchmark("nasbench101", path=csv_file(tmp_path / "mine.csv", text))
    bench.query(CELLS[0])
    assert np.isnan(bench.simulated_seconds)


def test_a_file_made_from_the_published_results(nasbench101_table, tmp_path, cache):
    """2,000 cells: the mean of the runs is the published mean, run 0 the published one where it is known."""
    table = file.read_published(nasbench101_table, 2000)
    path = tmp_path / "nasbench_only108.tfrecord"
    values = file.make_runs(table, 108)
    file.write_file(path, table, {108: values})
    check_against_the_table(load_benchmark("nasbench101", path=path), table, values)


def check_against_the_table(bench, table, values):
    cells = SPACE.enumerate()
    rows = np.searchsorted(cells.columns["hash"], np.array(table["hash"].to_pylist(), dtype="S32"))
    cells = cells[rows]
    mean, published = bench.query_many(cells), table["test_accuracy"].to_numpy()
    # Each run is rounded to float32, so that the mean is, to a hair; the number of right images is the same.
    assert np.abs(mean - published).max() < 2**-24
    assert np.array_equal(np.rint(mean * 3 * file.IMAGES), np.rint(published * 3 * file.IMAGES))
    for field, name in (
        ("validation_accuracy", "validation_accuracy_108"),
        ("training_seconds", "training_seconds_108"),
    ):
        known = ~np.isnan(table[name].to_numpy())
        assert known.sum() > 100
        found = bench.query_many(cells, field, run=0)
        assert np.array_equal(found[known], table[name].to_numpy()[known].astype(np.float64))
    assert np.array_equal(bench.query_many(cells, "parameters"), table["parameters"].to_numpy())
    for run in range(3):
        for field in FIELDS:
            assert np.array_equal(bench.query_many(cells, field, run=run), column({108: values}, field)[:, run])


@pytest.mark.slow
def test_the_whole_file(nasbench101_table, tmp_path, cache):
    """All cells: as many bytes as the published file, a small cache, and the same numbers from both."""
    table = file.read_published(nasbench101_table)
    path = tmp_path / "nasbench_only108.tfrecord"
    values = file.make_runs(table, 108)
    assert file.write_file(path, table, {108: values}) == 3 * 423_624
    assert path.stat().st_size == 522_767_376
    for _ in range(2):
        bench = load_benchmark("nasbench101", path=path)
        assert len(bench) == 423_624
        check_against_the_table(bench, table, values)
    (stored,) = cache.glob("nasbench101-runs-*.parquet")
    assert stored.stat().st_size < 20e6
    path.unlink()
    assert bench.best()[0] == "02e5a0247bbdcf2860b7e96f74961594"


def test_a_search_is_offered_the_cells_of_the_file(bench):
    candidates = bench.candidates()
    assert sorted(candidates.columns["hash"].tolist()) == sorted(CELLS.columns["hash"].tolist())
    assert set(candidates.columns) >= {"hash", "parameters", "flops"}
    assert np.isfinite(bench.query_many(candidates)).all()


def test_results_know_their_epochs():
    results = RunResults(np.arange(2), CELLS.columns["hash"][:2], np.ones(2), {108: np.zeros((8, 3, 2))})
    assert results.epochs == [108]
    assert results.num_runs(108).tolist() == [3, 3]
