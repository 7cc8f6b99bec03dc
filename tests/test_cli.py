"""The `cate` command: its outputs, and one clear line with exit code 2 on bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cate_hf import get_space, load_encoder
from cate_hf.cli import main
from cate_hf.graphs import write_parquet
from tests.tiny import CELLS, LARGE, PLAIN, SKIP, save_tiny

VERBS = ("enumerate", "pairs", "encode", "neighbours", "convert", "search", "show", "spaces")
VERBS += ("import", "pretrain-encoding", "compare", "evaluate", "statistics", "publish", "download", "export", "cache")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp("cli") / "tiny"))


@pytest.fixture
def jsonl(tmp_path):
    def write(*rows, name="cells.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return str(path)

    return write


def refused(capsys, *arguments) -> str:
    """Run with bad input; returns the one line of the error."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("cate: ")
    assert "Traceback" not in captured.err
    return lines[0]


def rows_of(*cells, **columns):
    return [cell.to_dict() | {name: values[i] for name, values in columns.items()} for i, cell in enumerate(cells)]


# Help and usage


def test_help_teaches(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)
    for verb in VERBS:
        assert main([verb, "--help"]) == 0
        text = capsys.readouterr().out
        assert "Example" in text
        assert f"cate {verb}" in text


def test_version(capsys):
    from cate_hf import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cate_hf {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encod"], "encod"),
        (["encode", "--modle", "x"], "--modle"),
        (["encode", "--output", "x"], "give either --space or --input"),
        (["enumerate"], "'space'"),
        (["encode", "--model", "m", "--output", "o", "--space", "s", "--batch-size", "many"], "'--batch-size'"),
        (
            ["encode", "--model", "m", "--output", "o", "--space", "s", "--batch-size", "0"],
            "greater than or equal to 1",
        ),
        (["encode", "--model", "m", "--output", "o"], "give either --space or --input"),
        (["encode", "--model", "m", "--output", "o", "--space", "s", "--input", "i"], "give either --space or --input"),
        (["neighbours", "--model", "m"], "give either --hash or --input"),
        (["enumerate", "nasbench10", "--output", "x.parquet"], "did you mean 'nasbench101'"),
        (["pairs", "nasbench10", "--output", "x"], "did you mean 'nasbench101'"),
        (["encode", "--space", "nasbench11", "--model", "m", "--output", "x.parquet"], "did you mean 'nasbench101'"),
        (["search", "--space", "nasbench11", "--benchmark", "b", "--output", "x"], "did you mean 'nasbench101'"),
        (
            ["encode", "--space", "nasbench101", "--model", "no-such", "--output", "x.parquet"],
            "there is no such folder",
        ),
        (
            ["search", "--space", "nasbench101", "--benchmark", "b", "--output", "x", "--algorithm", "rondom"],
            "'random'",
        ),
        (["pairs", "nasbench101", "--output", "x", "--cost", "beauty"], "beauty"),
        (["pairs", "nasbench101", "--output", "x", "--window", "-1"], "window"),
        (["convert", "nothing.pth.tar", "out"], "nothing.pth.tar"),
    ],
)
def test_wrong_arguments_give_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_no_arguments_show_the_help(capsys):
    assert main([]) in (0, 2)
    assert "enumerate" in capsys.readouterr().out


# Encoding


def test_encode_keeps_order_and_columns(checkpoint, jsonl, tmp_path, capsys):
    names = ["large", "plain", "skip", "large again"]
    cells = [LARGE, PLAIN, SKIP, LARGE]
    source = jsonl(*rows_of(*cells, name=names, score=[0.5, 0.25, 1.0, 2.0]))
    output = tmp_path / "encodings.parquet"
    assert main(["encode", "--input", source, "--model", checkpoint, "--output", str(output), "--batch-size", "2"]) == 0
    assert f"wrote {output}: 4 encodings of 16 numbers" in capsys.readouterr().out
    table = pq.read_table(output)
    assert table.column_names[:2] == ["hash", "encoding"]
    assert table.schema.field("encoding").type == pa.list_(pa.float32(), 16)
    assert table["name"].to_pylist() == names
    assert table["score"].to_pylist() == [0.5, 0.25, 1.0, 2.0]
    space = get_space("nasbench101")
    assert table["hash"].to_pylist() == [space.hash(cell) for cell in cells]
    expected = load_encoder(checkpoint).encode(cells)
    np.testing.assert_allclose(np.array(table["encoding"].to_pylist()), expected, atol=1e-6)

    again = tmp_path / "again.parquet"
    assert main(["encode", "--input", str(output), "--model", checkpoint, "--output", str(again)]) == 0
    np.testing.assert_allclose(np.array(pq.read_table(again)["encoding"].to_pylist()), expected, atol=1e-6)


def test_an_existing_output_stays_unless_overwritten(checkpoint, jsonl, tmp_path, capsys):
    source, output = jsonl(*rows_of(*CELLS)), tmp_path / "out.parquet"
    output.write_text("precious")
    arguments = ["encode", "--input", source, "--model", checkpoint, "--output", str(output)]
    assert "out.parquet" in refused(capsys, *arguments)
    assert output.read_text() == "precious"
    assert main([*arguments, "--overwrite"]) == 0
    assert pq.read_table(output).num_rows == 3


@pytest.mark.parametrize(
    "verb",
    [["encode", "--space"], ["statistics", "--space"], ["enumerate"], ["import", "--format"]],
    ids=lambda v: v[0],
)
def test_an_output_is_parquet_by_its_name(tmp_path, capsys, verb):
    for name in ("x.csv", "x.npy", "x"):
        line = refused(capsys, *verb, "nasbench201", "--output", tmp_path / name)
        assert line.endswith(f"{name}: Parquet is written, expected a file ending in .parquet or .pq")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_failed_output(checkpoint, jsonl, tmp_path, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "out.parquet")

    source, folder = jsonl(*rows_of(*CELLS)), tmp_path / "folder"
    folder.mkdir()
    (folder / "out.parquet").write_text("old")
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    arguments = ["--input", source, "--model", checkpoint, "--output", folder / "out.parquet", "--overwrite"]
    assert "No space left on device" in refused(capsys, "encode", *arguments)
    assert [(p.name, p.read_text()) for p in folder.iterdir()] == [("out.parquet", "old")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line(capsys, monkeypatch):
    from cate_hf import cli

    error = None
    try:
        with open("/dev/full", "w") as file:
            file.write("x")
    except OSError as caught:
        error = caught
    assert cli.one_line(error) == "No space left on device"


def bad_rows():
    good = PLAIN.to_dict()
    eight = {
        "operations": ["input", *["maxpool3x3"] * 6, "output"],
        "adjacency": [[int(y == x + 1) for y in range(8)] for x in range(8)],
    }
    dense = {"operations": LARGE.to_dict()["operations"], "adjacency": np.triu(np.ones((7, 7), int), 1).tolist()}
    return {
        "cycle": (good | {"adjacency": [[0, 1, 0], [0, 0, 1], [0, 1, 0]]}, "2 -> 1"),
        "backward edge": (good | {"adjacency": [[0, 1, 0], [0, 0, 1], [1, 0, 0]]}, "2 -> 0"),
        "self loop": (good | {"adjacency": [[0, 1, 0], [0, 1, 1], [0, 0, 0]]}, "1"),
        "input unconnected": (good | {"adjacency": [[0, 0, 0], [0, 0, 1], [0, 0, 0]]}, ""),
        "output unconnected": (good | {"adjacency": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}, ""),
        "unknown operation": (good | {"operations": ["input", "conv7x7", "output"]}, "conv7x7"),
        "operation no string": (good | {"operations": ["input", 3, "output"]}, "operation"),
        "ragged": (good | {"adjacency": [[0, 1, 0], [0, 0], [0, 0, 0]]}, ""),
        "not square": (good | {"adjacency": [[0, 1, 0], [0, 0, 1]]}, ""),
        "no node": ({"operations": [], "adjacency": []}, ""),
        "one node": ({"operations": ["input"], "adjacency": [[0]]}, ""),
        "float": (good | {"adjacency": [[0, 0.5, 0], [0, 0, 1], [0, 0, 0]]}, "0.5"),
        "NaN": (good | {"adjacency": [[0, float("nan"), 0], [0, 0, 1], [0, 0, 0]]}, ""),
        "no adjacency": ({"operations": good["operations"]}, "adjacency"),
        "not an object": ("[1, 2]", ""),
        "truncated": ('{"operations": ["input", "out', ""),
        "eight nodes": (eight, "8"),
        "21 edges": (dense, "21 edges"),
        "output first": (good | {"operations": ["output", "conv3x3-bn-relu", "input"]}, ""),
        "wrong hash": (good | {"hash": "0" * 32}, "hash"),
    }


@pytest.mark.parametrize("name", bad_rows())
@pytest.mark.parametrize("verb", ["encode", "neighbours"])
def test_bad_rows_name_file_and_line(checkpoint, jsonl, tmp_path, capsys, name, verb):
    row, message = bad_rows()[name]
    with_hash = {"hash": get_space("nasbench101").hash(SKIP)} if "hash" in row else {}
    rows = [row] if verb == "neighbours" else [*rows_of(SKIP) * 2, row]
    rows = [r | with_hash if with_hash and r is not row else r for r in rows]
    arguments = [verb, "--input", jsonl(*rows), "--model", checkpoint]
    output = tmp_path / "out.parquet"
    line = refused(capsys, *arguments, *(["--output", output] if verb == "encode" else []))
    assert "cells.jsonl" in line
    assert message in line
    if verb == "encode":
        assert "3" in line or "row 2" in line, line
    assert not output.exists()


def test_files_that_hold_no_architectures(checkpoint, jsonl, tmp_path, capsys):
    arguments = ["encode", "--model", checkpoint, "--output", tmp_path / "out.parquet", "--input"]
    assert "nothing.jsonl" in refused(capsys, *arguments, tmp_path / "nothing.jsonl")
    assert "cells.jsonl" in refused(capsys, *arguments, jsonl())
    (tmp_path / "empty.parquet").write_bytes(b"")
    assert "empty.parquet" in refused(capsys, *arguments, tmp_path / "empty.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    assert "other.parquet" in refused(capsys, *arguments, tmp_path / "other.parquet")
    write_parquet(get_space("nasbench101").table(CELLS), tmp_path / "good.parquet")
    data = (tmp_path / "good.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    assert "cut.parquet" in refused(capsys, *arguments, tmp_path / "cut.parquet")
    assert "checkpoint" in refused(
        capsys, "encode", "--model", tmp_path, "--space", "nasbench101", "--output", "x.parquet"
    )


def test_a_checkpoint_of_another_space(jsonl, tmp_path, capsys):
    other = save_tiny(tmp_path / "other")
    config = json.loads((other / "config.json").read_text()) | {"space": "another"}
    (other / "config.json").write_text(json.dumps(config))
    line = refused(capsys, "encode", "--space", "nasbench101", "--model", other, "--output", tmp_path / "x.parquet")
    assert "another" in line


# Neighbours


def test_neighbours_of_an_encoded_space(checkpoint, jsonl, tmp_path, capsys, monkeypatch):
    space = get_space("nasbench101")
    cells = space.sample(40, seed=1)
    monkeypatch.setattr(type(space), "enumerate", lambda self, use_cache=True, progress=False: cells)
    encoder = load_encoder(checkpoint)
    encodings = encoder.encode(cells)
    order = np.argsort(np.linalg.norm(encodings - encodings[7], axis=1), kind="stable")[1:4]
    hashes = [str(h) for h in cells.columns["hash"]]
    assert main(["neighbours", "--model", checkpoint, "--hash", hashes[7], "-k", "3"]) == 0
    text = capsys.readouterr().out
    positions = [text.rindex(hashes[row]) for row in order]
    assert positions == sorted(positions)
    for row in order:
        for column in ("parameters", "flops"):
            assert f"{cells.columns[column][row]:,}" in text
    for word in ("distance", "edit distance", "FLOPs"):
        assert word in text

    source = jsonl(*rows_of(cells[7]))
    file = tmp_path / "all.parquet"
    assert main(["encode", "--space", "nasbench101", "--model", checkpoint, "--output", str(file)]) == 0
    capsys.readouterr()
    found = ["--input", source, "--encodings", str(file), "-k", "3"]
    assert main(["neighbours", "--model", checkpoint, *found]) == 0
    assert capsys.readouterr().out == text
    assert "no architecture of nasbench101" in refused(capsys, "neighbours", "--model", checkpoint, "--hash", "f" * 32)


# Ctrl-C


@pytest.mark.long
def test_ctrl_c_leaves_one_line_and_no_output(checkpoint, tmp_path):
    output = tmp_path / "out.parquet"
    command = [sys.executable, "-m", "cate_hf.cli", "encode", "--space", "nasbench101", "--model", checkpoint]
    process = subprocess.Popen(
        [*command, "--output", str(output), "--batch-size", "64"],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        # A shell's background jobs, and what they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(1200):  # until the temporary output is there
        if process.poll() is not None or list(tmp_path.iterdir()):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines() == ["cate: interrupted; no unfinished output was left"]
    assert not list(tmp_path.iterdir())
