"""Whatever is pasted or uploaded as an architecture."""

import json

import pytest

from cate_hf import get_space
from cate_hf.app._reading import ANY, MOST_BYTES, MOST_TEXT, read_given, single_cell
from cate_hf.app._shared import known_spaces
from cate_hf.graphs import Architecture
from cate_hf.graphs.formats._dot import to_dot
from tests.app.conftest import CELL

CHAIN = Architecture(["input", "conv3x3-bn-relu", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
MATRIX = "[[0, 1, 0],\n [0, 0, 1],\n [0, 0, 0]]"
OPERATIONS = "['input', 'conv3x3-bn-relu', 'output']"
SEP = "('sep_conv_3x3', 0), ('sep_conv_3x3', 1)"
GENOTYPE = (
    f"Genotype(normal=[{SEP}, {SEP}, {SEP}, {SEP}], normal_concat=[2, 3, 4, 5], "
    f"reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), {SEP}, {SEP}, {SEP}], reduce_concat=[2, 3, 4, 5])"
)


def read(text=None, space=ANY, upload=None):
    return read_given(text, space, known_spaces(), upload)


@pytest.mark.parametrize(
    "text",
    [
        CHAIN.to_json(),
        f"{MATRIX}\n{OPERATIONS}",
        f"{OPERATIONS}, {MATRIX}",
        f"api.ModelSpec(matrix={MATRIX}, ops={OPERATIONS})",
        json.dumps({"module_operations": CHAIN.operations, "module_adjacency": CHAIN.adjacency.tolist()}),
    ],
)
def test_forms_of_a_matrix_and_operations(text):
    found = read(text)
    assert found.space == "nasbench101"
    assert found.architecture == CHAIN


def test_notations_find_their_space():
    assert (read(CELL).space, read("441301").space) == ("nasbench201", "nasbench201")
    pair = read(GENOTYPE)
    assert pair.space == "darts"
    assert list(pair.cells) == ["normal", "reduction"]
    assert "normal" in single_cell(pair)[1]


def test_of_no_space_it_is_still_an_architecture():
    found = read(Architecture(["input", "Conv", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]]).to_json())
    assert found.space is None
    with pytest.raises(ValueError, match="of none of the search spaces"):
        single_cell(found)
    almost = Architecture(
        ["input", "conv3x3-bn-relu"] + ["maxpool3x3"] * 6 + ["output"], [[i < j for j in range(9)] for i in range(9)]
    )
    assert "not of nasbench101: 9 nodes" in read(almost.to_json()).understood


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "paste an architecture"),
        ("rubbish", "expected JSON with operations and adjacency"),
        ("|nor_conv_3x3~0|+|nor", r"expected \|op~0\|"),
        ('{"operations": ["input"]}', "'adjacency' is missing"),
        ("{", "not valid JSON"),
        ("x" * (MOST_TEXT + 1), "at most 50,000"),
        ("__import__('os').system('touch pwned')", "is not understood"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_a_hash():
    hash = get_space("nasbench201").hash(read(CELL).architecture)
    assert read(hash, "nasbench201").understood == "a hash, of nasbench201"
    with pytest.raises(ValueError, match="no architecture of nasbench201 has the hash"):
        read("0" * 32, "nasbench201")


def test_no_text_is_taken_for_a_file_of_this_machine(tmp_path):
    path = tmp_path / "cell.json"
    path.write_text(CHAIN.to_json())
    for space in (ANY, "nasbench101"):
        with pytest.raises(ValueError, match="is not understood|neither a nasbench101 architecture"):
            read(str(path), space)


def test_uploads(tmp_path):
    for name, content in (("a.json", CHAIN.to_json()), ("b.dot", to_dot(CHAIN))):
        path = tmp_path / name
        path.write_text(content)
        found = read("not looked at", upload=path)
        assert (found.space, found.architecture, found.argument) == ("nasbench101", CHAIN, name)


def test_bad_uploads_are_named_without_their_folder(tmp_path):
    for name, content, message in (
        ("cell.pkl", b"\x80\x04.", "expected a file ending in"),
        ("cell.json", b"{", "not valid JSON"),
        ("cell.parquet", b"PAR1", "cell.parquet"),
        ("big.json", b" " * (MOST_BYTES + 1), "at most 10 MB"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message) as caught:
            read(upload=path)
        assert str(tmp_path) not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_onnx(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ay"]
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["y"])], "g", ends[:1], ends[1:])
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph), path)
    assert read(upload=path).architecture.operations == ("input", "Relu", "output")
