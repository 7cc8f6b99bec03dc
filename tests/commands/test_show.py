import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from cate_hf import Architecture, get_space
from cate_hf.benchmarks.importing import import_results
from cate_hf.commands._show import show
from cate_hf.graphs import to_dot, write_parquet
from tests.tiny import LARGE, PLAIN, SKIP

BEST = "02e5a0247bbdcf2860b7e96f74961594"
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


@pytest.fixture
def shown(capsys):
    """Run the verb; returns what it printed."""

    def run(*arguments, **keywords):
        show(*[str(a) for a in arguments], **{"space": None, "output": None} | keywords)
        return capsys.readouterr().out

    return run


def rows(text: str) -> list[list[str]]:
    """Cells of the printed tables."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]


def facts(text: str) -> dict[str, str]:
    lines = [line.split(None, 1) for line in text.splitlines() if "│" not in line and len(line.split()) > 1]
    return {name: value.strip() for name, value in lines}


def test_by_hash(shown, tmp_path):
    space = get_space("nasbench101")
    text = shown(BEST, space="nasbench101", output=tmp_path / "cell.svg")
    assert rows(text)[0] == ["0", "input", "", "1, 2, 5, 6"]
    assert rows(text)[-1] == ["6", "output", "0, 5", ""]
    known = facts(text)
    assert (known["space"], known["hash"], known["parameters"]) == ("nasbench101", BEST, "32,426,634")
    assert known["FLOPs"] == f"{space.flops(space.parse(BEST)):,}"
    assert "7 nodes, 9 edges" in text
    assert f"wrote {tmp_path / 'cell.svg'}" in text
    assert (tmp_path / "cell.svg").read_text().startswith("<?xml")


def test_files(shown, tmp_path):
    table = get_space("nasbench101").table([SKIP, PLAIN])
    write_parquet(table, tmp_path / "cells.parquet")
    row = SKIP.to_dict() | {"accuracy": 0.9}
    (tmp_path / "cells.jsonl").write_text(f"\n{json.dumps(row)}\n{PLAIN.to_json()}\n")
    (tmp_path / "cell.json").write_text(json.dumps(row, indent=2))
    (tmp_path / "one.JSON").write_text(json.dumps(row))
    (tmp_path / "cell.dot").write_text(to_dot(SKIP))
    expected = shown(SKIP.to_json())
    assert rows(expected) == [
        ["0", "input", "", "1, 2"],
        ["1", "conv3x3-bn-relu", "0", "2"],
        ["2", "output", "0, 1", ""],
    ]
    assert facts(expected)["hash"].split()[0] == SKIP.hash()
    for path in sorted(tmp_path.iterdir()):
        assert shown(path) == expected
        assert facts(shown(path, space="nasbench101"))["hash"] == get_space("nasbench101").hash(SKIP)


def test_an_onnx_file(shown, tmp_path):
    onnx = pytest.importorskip("onnx")
    value = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    nodes = [onnx.helper.make_node("Relu", ["x"], ["a"]), onnx.helper.make_node("Add", ["a", "x"], ["y"])]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", value[:1], value[1:])), tmp_path / "m.onnx")
    assert [row[1] for row in rows(shown(tmp_path / "m.onnx", output=tmp_path / "m.png"))] == [
        "input",
        "Relu",
        "Add",
        "output",
    ]
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


def test_nodes_on_no_path_are_left_out_of_a_space(shown):
    dangling = Architecture(
        ["input", "maxpool3x3", "conv3x3-bn-relu", "output"], [[0, 1, 1, 1], [0] * 4, [0, 0, 0, 1], [0] * 4]
    )
    assert len(rows(shown(dangling.to_json()))) == 4
    text = shown(dangling.to_json(), space="nasbench101")
    assert rows(text) == rows(shown(SKIP.to_json()))


def test_one_cell_of_darts(shown):
    space = get_space("darts")
    cell = space.sample(1, seed=0)[0]
    text = shown(space.native(cell), space="darts")
    assert len(rows(text)) == 15
    assert facts(text)["hash"] == space.hash(cell)
    assert facts(text)["parameters"] == f"{space.parameters(cell):,}"
    # A long notation stands on a line of its own, whole, and reads back.
    (notation,) = (line for line in text.splitlines() if line.startswith("Genotype("))
    assert space.hash(space.parse(notation)) == space.hash(cell)
    assert shown(cell.to_json(), space="darts") == text


def test_two_cells_of_darts(shown, tmp_path):
    space = get_space("darts")
    pair = space.parse_pair(DARTS_V2)
    text = shown(DARTS_V2, space="darts", output=tmp_path / "v2.png")
    assert len(rows(text)) == 30
    assert "normal cell: 15 nodes, 20 edges" in text
    assert "reduction cell: 15 nodes, 20 edges" in text
    assert facts(text)["hash"] == space.hash(pair)
    assert facts(text)["FLOPs"] == f"{space.flops(pair):,}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v2-normal.png", "v2-reduction.png"]
    with pytest.raises(FileExistsError, match=r"v2-normal.png exists already"):
        shown(DARTS_V2, space="darts", output=tmp_path / "v2.png")
    shown(DARTS_V2, space="darts", output=tmp_path / "v2.png", overwrite=True)


def test_a_cell_of_nasbench201(shown, tmp_path):
    text = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    printed = shown(text, space="nasbench201", output=tmp_path / "cell.png")
    assert [row[1] for row in rows(printed)][1:-1] == ["nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_1x1"]
    assert text in printed.split()
    nothing = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert "2 nodes, 0 edges" in shown(nothing, space="nasbench201", output=tmp_path / "none.png")
    assert len(list(tmp_path.iterdir())) == 2


def test_names_are_printed_as_they_are(shown):
    names = ["[bold]input[/bold]", "[/red]", "c_{k-2}"]
    assert [row[1] for row in rows(shown(Architecture(names, [[0, 1, 0], [0, 0, 1], [0, 0, 0]]).to_json()))] == names


@pytest.mark.parametrize(
    ("arch", "space", "message"),
    [
        (BEST, None, "neither a file nor JSON of an architecture; a hash or .* needs --space"),
        ("x" * 500, None, r"x\.\.\.' is neither a file"),
        ("0" * 32, "nasbench101", "no architecture of nasbench101 has the hash"),
        ("conv", "nasbench101", "is neither a nasbench101 architecture, nor JSON of one, nor a hash"),
        ("{", None, "not valid JSON"),
        (LARGE.to_json().replace("conv1x1", "conv7x7"), "nasbench101", "unknown operation 'conv7x7-bn-relu'"),
        (BEST, "nasbench11", "did you mean 'nasbench101'"),
        ("notes.txt", None, r"notes.txt: expected a file ending in .*\.onnx"),
        (".", None, r"\.: a folder, expected a file ending in"),
        (".", "nasbench101", r"\.: a folder, expected a file ending in"),
        ("empty.json", None, "empty.json: the file is empty"),
        ("cut.jsonl", None, "cut.jsonl: architecture: not valid JSON"),
        ("cycle.jsonl", None, "cycle.jsonl, line 1: architecture: cycle"),
        ("latin.json", None, "latin.json: not UTF-8 text"),
        ("bad.dot", None, "bad.dot: line 1: expected a name"),
        ("bad.parquet", None, "bad.parquet: not a readable Parquet file"),
        ("foreign.dot", "nasbench101", "foreign.dot: node 0: unknown operation 'a'"),
    ],
)
def test_errors_are_one_line(shown, tmp_path, monkeypatch, arch, space, message):
    monkeypatch.chdir(tmp_path)
    cycle = {"operations": ["a", "b", "c"], "adjacency": [[0, 1, 0], [0, 0, 1], [0, 1, 0]]}
    files = {
        "notes.txt": b"notes",
        "empty.json": b" \n",
        "cut.jsonl": PLAIN.to_json().encode()[:40],
        "cycle.jsonl": json.dumps(cycle).encode(),
        "latin.json": b'{"operations": ["\xe9"]}',
        "bad.dot": b"digraph { -> }",
        "bad.parquet": b"PAR1",
        "foreign.dot": b"digraph { a -> b }",
    }
    for name, data in files.items():
        Path(name).write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        shown(arch, space=space, output=Path("cell.svg"))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_outputs_are_checked_before_anything_is_read(shown, tmp_path):
    (tmp_path / "cell.svg").write_text("precious")
    with pytest.raises(FileExistsError, match=r"cell.svg exists already"):
        shown("absent.onnx", output=tmp_path / "cell.svg")
    with pytest.raises(ValueError, match=r"cannot draw to .*cell.txt: expected a suffix of .*svg"):
        shown("absent.onnx", output=tmp_path / "cell.txt")
    with pytest.raises(FileNotFoundError, match=r"absent.onnx: no such file"):
        shown("absent.onnx", output=tmp_path / "other.svg")
    shown(PLAIN.to_json(), output=tmp_path / "cell.svg", overwrite=True)
    assert (tmp_path / "cell.svg").read_text().startswith("<?xml")
    assert [path.name for path in tmp_path.iterdir()] == ["cell.svg"]


def test_as_a_verb(tmp_path):
    app = typer.Typer()
    app.command()(show)
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert "cate show" in result.output
    result = CliRunner().invoke(app, [PLAIN.to_json(), "--output", str(tmp_path / "cell.pdf")])
    assert result.exit_code == 0
    assert (tmp_path / "cell.pdf").read_bytes().startswith(b"%PDF")


def test_a_parquet_file_of_pairs_of_cells(shown, tmp_path):
    (tmp_path / "v2.txt").write_text(DARTS_V2)
    import_results(tmp_path / "v2.txt", tmp_path / "v2.parquet")
    text = shown(tmp_path / "v2.parquet", space="darts")
    assert "normal cell" in text
    assert "reduction cell" in text
    assert facts(text)["hash"] == get_space("darts").hash(get_space("darts").parse_pair(DARTS_V2))
    for space in (None, "nasbench101"):
        with pytest.raises(ValueError, match="pairs of cells .* need --space darts"):
            shown(tmp_path / "v2.parquet", space=space)
    wrong = pa.table({"normal": [[1]], "reduce": [[2]]})
    for rows_, problem in ((wrong, "row 0: normal and reduce must be lists"), (wrong[:0], "holds no architecture")):
        pq.write_table(rows_, tmp_path / "wrong.parquet")
        with pytest.raises(ValueError, match=problem):
            shown(tmp_path / "wrong.parquet", space="darts")
