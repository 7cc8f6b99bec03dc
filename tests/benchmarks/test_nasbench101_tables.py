"""NAS-Bench-101 results from tables, and what a path may mean."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv

from cate_hf import get_space, load_benchmark
from tests import nasbench101_file as file

SPACE = get_space("nasbench101")
CELLS = SPACE.sample(50, seed=1)
HASHES = CELLS.columns["hash"].tolist()
FUZZ = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_folders_and_other_files(tmp_path, cache):
    with pytest.raises(ValueError, match=r"nowhere: no such file; expected a .tfrecord file"):
        load_benchmark("nasbench101", path=tmp_path / "nowhere")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"folder: a folder without .tfrecord files"):
        load_benchmark("nasbench101", path=folder)
    table = file.made_up_table(CELLS)
    for name in ("a.tfrecord", "b.tfrecord"):
        file.write_file(folder / name, table, {108: file.make_runs(table, 108)})
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
