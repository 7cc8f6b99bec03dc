"""`accelerate launch -m cate_hf.encode`, in this process and as real ones that are killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from accelerate import Accelerator

from cate_hf import encode, get_space
from cate_hf.encodings import sharded
from cate_hf.encodings.files import encode_to_parquet
from cate_hf.encodings.sharded import default_shard_rows, encode_sharded, work_folder
from cate_hf.graphs._table_arrow import to_arrow
from tests.tiny import save_tiny

ROWS = 330


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("sharded") / "tiny")


@pytest.fixture(scope="module")
def cells():
    """Cells with columns that NumPy cannot hold as they are."""
    table = get_space("nasbench101").sample(ROWS, seed=3)
    arrow = to_arrow(table)
    late = [None] * (ROWS - 1) + [["a", "b"]]
    arrow = arrow.append_column("tags", pa.array(late, pa.list_(pa.string())))
    arrow = arrow.append_column("count", pa.array([None, *range(1, ROWS)], pa.int64()))
    return arrow.append_column("when", pa.array(range(ROWS), pa.timestamp("ms", "UTC")))


@pytest.fixture
def source(tmp_path, cells):
    pq.write_table(cells, tmp_path / "cells.parquet", row_group_size=70)
    return tmp_path / "cells.parquet"


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture
def expected(checkpoint, source, tmp_path):
    encode_to_parquet(checkpoint, tmp_path / "expected.parquet", input=source, batch_size=16)
    return pq.read_table(tmp_path / "expected.parquet")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("output", ["out.parquet", "out"])
def test_shards_join_to_what_cate_encode_writes(checkpoint, source, expected, cells, tmp_path, accelerator, output):
    path = tmp_path / output
    rows, dim = encode_sharded(checkpoint, path, accelerator, input=source, batch_size=16, shard_rows=64)
    assert (rows, dim) == (ROWS, 16)
    assert_same(pq.read_table(path), expected)
    if output == "out":
        assert names(path) == [f"part-{i:05d}-of-00006.parquet" for i in range(6)]
    assert not work_folder(path).exists()
    assert expected.column_names[:2] == ["hash", "encoding"]
    assert expected.schema.field("encoding").type == pa.list_(pa.float32(), 16)
    for name in ("tags", "count", "when", "flops"):  # as they were, of the same types
        assert expected[name].equals(cells[name])
    with pytest.raises(FileExistsError, match="exists already"):
        encode_sharded(checkpoint, path, accelerator, input=source)
    encode_sharded(checkpoint, path, accelerator, input=source, batch_size=16, shard_rows=100, overwrite=True)
    np.testing.assert_allclose(vectors(pq.read_table(path)), vectors(expected), atol=1e-6)


def assert_same(table, expected):
    """The same columns, and the same encodings up to rounding: a shard's last batch may be shared among threads."""
    assert table.drop_columns(["encoding"]).equals(expected.drop_columns(["encoding"]))
    assert table.schema.equals(expected.schema)
    np.testing.assert_allclose(vectors(table), vectors(expected), atol=1e-6)


def vectors(table):
    return np.array(table["encoding"].to_pylist())


def stopped_after(count, monkeypatch):
    """Let the encoding of the shard after so many fail as a full disk would."""
    write, done = sharded.write_groups, []

    def full(groups, path):
        if len(done) == count:
            raise OSError(28, "No space left on device")
        write(groups, path)
        done.append(path)

    monkeypatch.setattr(sharded, "write_groups", full)


def test_a_run_goes_on_with_the_shards_that_are_missing(
    checkpoint, source, expected, tmp_path, accelerator, monkeypatch
):
    output = tmp_path / "out.parquet"
    options = {"input": source, "batch_size": 16, "shard_rows": 64}
    with monkeypatch.context() as patched:
        stopped_after(4, patched)
        with pytest.raises(OSError, match="No space left"):
            encode_sharded(checkpoint, output, accelerator, **options)
    folder = work_folder(output)
    assert not output.exists()
    assert [name for name in names(folder) if name[0] != "."] == [f"part-{i:05d}-of-00006.parquet" for i in range(4)]
    # One is damaged, and a kill in the middle of writing has left another.
    (folder / "part-00002-of-00006.parquet").write_bytes(b"short")
    (folder / ".part-00004-of-00006.0123.tmp.parquet").write_bytes(b"PAR1")
    written = []
    write = sharded.write_groups
    monkeypatch.setattr(sharded, "write_groups", lambda groups, path: written.append(path.name) or write(groups, path))
    encode_sharded(checkpoint, output, accelerator, **options)
    assert [name.split(".")[1] for name in written[:-1]] == [f"part-{i:05d}-of-00006" for i in (2, 4, 5)]
    assert_same(pq.read_table(output), expected)
    assert not folder.exists()


def test_an_unfinished_run_that_differs_is_named(checkpoint, source, expected, tmp_path, accelerator, monkeypatch):
    output = tmp_path / "out"
    options = {"input": source, "batch_size": 16, "shard_rows": 64}
    with monkeypatch.context() as patched:
        stopped_after(2, patched)
        with pytest.raises(OSError, match="No space left"):
            encode_sharded(checkpoint, output, accelerator, **options)
    before = names(work_folder(output))
    other = save_tiny(tmp_path / "other", num_hidden_layers=1)
    changes = [
        (checkpoint, {"batch_size": 32}, "batch_size is 32 here and 16 there"),
        (checkpoint, {"shard_rows": 32}, "shard_rows is 32 here and 64 there"),
        (other, {}, "model name is"),
    ]
    for model, change, message in changes:
        with pytest.raises(ValueError, match=message):
            encode_sharded(model, output, accelerator, **(options | change))
    table = pq.read_table(source)
    pq.write_table(table.take([1, 0, *range(2, ROWS)]), source)
    with pytest.raises(ValueError, match=r"cells.parquet \(input\) has changed since"):
        encode_sharded(checkpoint, output, accelerator, **options)
    assert names(work_folder(output)) == before
    pq.write_table(table, source)
    encode_sharded(checkpoint, output, accelerator, **(options | {"shard_rows": 48}), overwrite=True)
    assert_same(pq.read_table(output), expected)


def test_a_bad_row_is_named_by_its_place_in_the_file(checkpoint, source, tmp_path, accelerator):
    table = pq.read_table(source)
    hashes = table["hash"].to_pylist()
    hashes[201] = hashes[0]
    position = table.column_names.index("hash")
    pq.write_table(table.set_column(position, "hash", pa.array(hashes)), source, row_group_size=70)
    with pytest.raises(ValueError, match=r"cells.parquet, row 201: hash is"):
        encode_sharded(checkpoint, tmp_path / "out", accelerator, input=source, batch_size=16, shard_rows=64)
    operations = table["operations"].to_pylist()
    operations[300] = [*operations[300][:-1], "maxpool3x3"]
    position = table.column_names.index("operations")
    changed = table.set_column(position, "operations", pa.array(operations)).drop_columns(["hash"])
    pq.write_table(changed, source, row_group_size=70)
    for call in (
        lambda: encode_sharded(checkpoint, tmp_path / "x", accelerator, input=source, batch_size=16, shard_rows=64),
        lambda: encode_to_parquet(checkpoint, tmp_path / "x.parquet", input=source),
    ):
        with pytest.raises(ValueError, match=r"cells.parquet, row 300: "):
            call()


def test_two_runs_at_once_are_refused(checkpoint, source, tmp_path, accelerator):
    from filelock import FileLock

    folder = work_folder(tmp_path / "out.parquet")
    folder.mkdir()
    with FileLock(folder / ".lock"), pytest.raises(FileExistsError, match="another run is writing there"):
        encode_sharded(checkpoint, tmp_path / "out.parquet", accelerator, input=source)


def test_a_table_without_rows(checkpoint, source, cells, tmp_path, accelerator):
    pq.write_table(cells.slice(0, 0), source)
    encode_sharded(checkpoint, tmp_path / "out.parquet", accelerator, input=source)
    encode_to_parquet(checkpoint, tmp_path / "plain.parquet", input=source)
    empty = pq.read_table(tmp_path / "out.parquet")
    assert empty.num_rows == 0
    assert empty.schema.equals(pq.read_table(tmp_path / "plain.parquet").schema)


def test_shards_are_whole_batches():
    assert default_shard_rows(10_000_000, 1024) == 65_536
    assert default_shard_rows(5, 1024) == 1024
    assert default_shard_rows(300_000, 1024) == 4096
    assert default_shard_rows(10_000_000, 1000) == 65_000
    assert default_shard_rows(10_000_000, 100_000) == 65_536


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "nothing.parquet", "--model", "nasbench101"], "nothing.parquet: no such file"),
        (["--space", "nasbench10", "--model", "nasbench101"], "nasbench101"),
        (["--space", "nasbench101", "--model", "nasbench101", "--batch-size", "0"], "batch_size must be at least 1"),
        (["--space", "nasbench101", "--model", "nasbench101", "--shard-rows", "0"], "shard_rows must be at least 1"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert encode.main([*arguments, "--output", "out.parquet", "--cpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


# Real processes


def launch(processes, *options):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [str(Path(sys.executable).with_name("accelerate")), "launch", "--num_machines", "1"]
    command += ["--num_processes", str(processes), "--mixed_precision", "no", "--dynamo_backend", "no"]
    # With --cpu the launcher starts one process, however many are asked for.
    command += ["--cpu"] if processes == 1 else ["--multi_gpu"]
    if processes > 1:
        command += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(port)]
    return subprocess.Popen(
        [*command, "-m", "cate_hf.encode", "--cpu", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CATE_HF_THREADS": "1"},
    )


def kill_all(process):
    """The launcher and what it started, each of which has a session of its own."""
    everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in everyone:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.long
def test_two_processes_killed_go_on(checkpoint, source, expected, tmp_path):
    output = tmp_path / "out.parquet"
    arguments = ("--input", source, "--model", checkpoint, "--output", output, "--batch-size", 16, "--shard-rows", 16)
    folder = work_folder(output)
    process = launch(2, *arguments)
    try:
        deadline = time.time() + 120
        while len(list(folder.glob("part-*"))) < 2:
            assert process.poll() is None, process.communicate()[1][-3000:]
            assert time.time() < deadline
            time.sleep(0.002)
    finally:
        kill_all(process)
    assert not output.exists()
    assert len(list(folder.glob("part-*"))) >= 2
    assert json.loads((folder / ".encoding.json").read_text())["input"]["rows"] == ROWS
    process = launch(2, *arguments)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error[-3000:]
    assert out.count(f"{ROWS} encodings of 16 numbers") == 1
    assert_same(pq.read_table(output), expected)
    assert not folder.exists()
