"""Descriptions of spaces of one's own: read strictly, refused in one line, written as they were read."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import get_space
from cate_hf.spaces.custom._checks import FIELD_NAMES
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.spaces.registry import CATALOG

EXAMPLE = Path(__file__).parents[2] / "docs" / "enas_like.yaml"
FULL = """
name: full
operations:
  conv: {parameters: 9, seconds: 0.5}
  "yes": {parameters: 0, seconds: 0}
input: [left, right]
output: out
nodes: [5, 9]
edges: [4, 20]
in_degree: [2, 3]
out_degree: [1, 4]
skeleton: [[left, 2], [0, 3], [3, out]]
fixed_operations: {2: conv}
edge_costs: {parameters: 1}
pairing: {cost: parameters, window: 3, partners: 1}
pool: 1234
"""
SMALL = {"name": "mine", "operations": ["a", "b"], "nodes": [2, 6]}


@pytest.fixture
def file(tmp_path):
    def write(content, name="my_space.yaml"):
        path = tmp_path / name
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")
        return path

    return write


def test_every_field_is_read(file):
    space = CustomSpace.from_file(file(FULL))
    assert (space.name, space.vocabulary) == ("full", ("left", "right", "conv", "yes", "out"))
    assert (space.num_inputs, space.max_nodes, space.max_edges, space.pool_size) == (2, 9, 20, 1234)
    assert space.cost_names == ("parameters", "seconds")
    assert space.pairing == {"cost": "parameters", "window": 3, "partners": 1}
    fields = space.fields
    assert fields.skeleton_edges(7) == [(0, 2), (0, 3), (3, 6)]
    assert (fields.in_degree, fields.out_degree, fields.edges) == ((2, 3), (1, 4), (4, 20))
    assert fields.costs == {"parameters": (9, 0), "seconds": (0.5, 0)}
    for a in space.sample(20, seed=0):
        assert a.operations[2] == "conv"
        assert a.adjacency[0, 2] == a.adjacency[0, 3] == a.adjacency[3, -1] == 1


@pytest.mark.parametrize("text", [FULL, EXAMPLE.read_text(encoding="utf-8")], ids=["full", "example"])
def test_definition_round_trip(file, text):
    space = CustomSpace.from_file(file(text))
    again = CustomSpace.from_definition(space.definition())
    assert again.fields == space.fields
    assert again.version == space.version
    assert again.definition() == space.definition()
    assert CustomSpace.from_file(file(space.definition(), "again.yaml")).fields == space.fields
    assert CustomSpace(**yaml.safe_load(text)).fields == space.fields


def test_version_follows_the_content(file):
    space = CustomSpace(**SMALL)
    assert CustomSpace(**SMALL | {"pool": 10, "pairing": {"window": 3}, "name": "other"}).version == space.version
    for changed in ({"nodes": [2, 7]}, {"operations": ["b", "a"]}, {"edges": [1, 9]}, {"edge_costs": {"wires": 1}}):
        assert CustomSpace(**SMALL | changed).version != space.version


def test_a_file_is_a_space_wherever_a_name_is(file):
    path = file("{name: by-file, operations: [a], nodes: 3}")
    try:
        assert get_space(path).name == get_space(str(path)).name == get_space("by-file").name == "by-file"
    finally:
        CATALOG.registered.pop("by-file", None)
    with pytest.raises(ValueError, match="there is a search space called 'nasbench101' already"):
        get_space(file("{name: nasbench101, operations: [a], nodes: 3}"))
    with pytest.raises(FileNotFoundError, match="none.yaml: no such file"):
        get_space(path.with_name("none.yaml"))
    (path.parent / "folder").mkdir()
    with pytest.raises(ValueError, match="folder: a folder, expected the name of a search space or its YAML file"):
        get_space(str(path.parent / "folder"))


def test_a_condition_beside_a_file(file):
    space = CustomSpace.from_file(
        file("{name: mine, operations: [a, b], nodes: 4}"), valid=lambda a: "b" in a.operations
    )
    assert all("b" in a.operations for a in space.enumerate())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected the description of a search space, got None"),
        ("[1, 2]", "expected the description of a search space, got "),
        ("name: [", "line 1: not valid YAML"),
        ("name: a\nname: b", "line 2: not valid YAML .the key 'name' is there twice"),
        ("a: &x [1]\nb: *x", r"line 2: not valid YAML \(aliases such as \*x are not allowed"),
        ("name: !!python/object/apply:os.system ['true']", "line 1: not valid YAML .could not determine a constructor"),
        ("[" * 100_000, "not valid YAML .nested too deeply"),
        ("a: 2001-99-99", "not valid YAML"),
        ("? [a, [b]]\n: c", "not valid YAML"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"#" * 1_000_001, "larger than 1,000,000 bytes"),
        (b"name: a\x00", "not valid YAML"),
    ],
    ids=range(12),
)
def test_files_that_are_no_description(file, content, message):
    path = file(content)
    with pytest.raises(ValueError, match=message) as error:
        CustomSpace.from_file(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"operation": ["a"]}, "unknown field 'operation'; did you mean 'operations'"),
        ({3: 4}, "unknown field '3'"),
        ({"name": None}, "name: missing; a search space needs name, operations, nodes"),
        ({"operations": None}, "operations: missing"),
        ({"name": "a/b"}, "name: expected up to 64 letters"),
        ({"name": 7}, "name: expected up to 64 letters"),
        ({"operations": "conv"}, "operations: expected a list of names, got 'conv'"),
        ({"operations": []}, "operations: expected 1 to 64 names, got 0"),
        ({"operations": [f"o{i}" for i in range(65)]}, "operations: expected 1 to 64 names, got 65"),
        ({"operations": ["a", True]}, r"operations\[1\]: expected a name, got True; write it in quotes"),
        ({"operations": ["a", "a"]}, "operations: 'a' is there twice"),
        ({"operations": ["a", "input"]}, "input: 'input' is there twice .also in operations"),
        ({"operations": ["a", "[MASK]"]}, "'.MASK.' is a token"),
        ({"operations": ["a\n"]}, r"operations\[0\]: expected a name of 1 to 100 printable"),
        ({"operations": {"a": {"parameters": 1}, "b": {}}}, "operations.b: no cost 'parameters'"),
        ({"operations": {"a": {"parameters": "x"}}}, "operations.a.parameters: expected a number"),
        ({"operations": {"a": {"parameters": True}}}, "operations.a.parameters: expected a number"),
        ({"operations": {"a": {"parameters": float("nan")}}}, "operations.a.parameters: expected a number"),
        ({"operations": {"a": {"parameters": -1}}}, "operations.a.parameters: expected a number from 0"),
        ({"operations": {"a": {"hash": 1}}}, "operations.a: expected the name of a cost"),
        ({"operations": {"a": 9}}, "operations.a: expected costs, such as"),
        ({"nodes": [6, 2]}, r"nodes: expected \[fewest, most\], got \[6, 2\]"),
        ({"nodes": [2, 201]}, r"nodes\[1\]: expected a whole number from 2 to 200, got 201"),
        ({"nodes": [2, 3, 4]}, r"nodes: expected \[fewest, most\]"),
        ({"nodes": 2.5}, "nodes: expected a whole number"),
        ({"nodes": True}, "nodes: expected a whole number"),
        ({"input": ["i", "j"]}, "nodes: at least 2, but 2 inputs and the output are 3"),
        ({"input": {"a": 1}}, "input: expected a list of names"),
        ({"edges": [1, "x"]}, r"edges\[1\]: expected a whole number"),
        ({"edges": 100}, "edges: 100, but architectures of 2 to 6 nodes within the other limits have 1 to 15"),
        ({"nodes": 6, "edges": [1, 3]}, "edges: 1 to 3, but architectures of 6 nodes .* have 5 to"),
        ({"in_degree": 2}, "in_degree: at least 2, but the first node after the inputs can have only 1"),
        ({"out_degree": [2, 3]}, "out_degree: at least 2, but the last node before the output"),
        ({"skeleton": "chian"}, "skeleton: expected chain, or edges"),
        ({"skeleton": [[0, 1, 2]]}, r"skeleton\[0\]: expected an edge such as \[0, 1\]"),
        ({"skeleton": [[0, 1]]}, r"skeleton\[0\]: node 1 is not in every architecture; the smallest has 2 nodes"),
        ({"nodes": 5, "skeleton": [[2, 1]]}, r"skeleton\[0\]: expected an edge from a lower to a higher node"),
        ({"nodes": 5, "skeleton": [["output", 1]]}, r"skeleton\[0\]: no edge leaves the output"),
        ({"nodes": 5, "skeleton": [[1, 0]]}, r"skeleton\[0\]: no edge leaves the output or enters an input"),
        ({"nodes": 5, "skeleton": [["inptu", 1]]}, r"skeleton\[0\]: unknown node 'inptu'; did you mean 'input'"),
        ({"fixed_operations": {1: "a"}}, "fixed_operations.1: node 1 is not in every"),
        ({"nodes": 5, "fixed_operations": {1: "c"}}, "fixed_operations.1: unknown operation 'c'"),
        ({"nodes": 5, "fixed_operations": {0: "a"}}, "fixed_operations.0: node 0 is an input"),
        ({"nodes": 5, "fixed_operations": ["a"]}, "fixed_operations: expected operations by node"),
        ({"operations": {"a": {"cost": 1}}, "edge_costs": {"csot": 1}}, "edge_costs: unknown cost 'csot'; did you"),
        ({"pairing": {"windw": 1}}, "pairing: unknown field 'windw'; did you mean 'window'"),
        ({"pairing": {"cost": "flops"}}, "pairing.cost: unknown cost 'flops'; .*nodes"),
        ({"pairing": {"window": float("inf")}}, "pairing.window: expected a finite number"),
        ({"pairing": {"partners": 0}}, "pairing.partners: expected a whole number from 1"),
        ({"pool": 0}, "pool: expected a whole number from 1"),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_wrong_fields_are_named(file, changed, message):
    description = SMALL | changed
    with pytest.raises(ValueError, match=message) as error:
        CustomSpace.from_dict(description)
    assert "\n" not in str(error.value)
    path = file(yaml.safe_dump(description))
    with pytest.raises(ValueError, match=message) as error:
        CustomSpace.from_file(path)
    assert str(error.value).startswith(f"{path}: ")


def test_aliases_cannot_fill_the_memory(file):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(ValueError, match="aliases"):
        CustomSpace.from_file(file("\n".join(lines)))


SCALARS = st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=5) | st.sampled_from("ab")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALARS, inner, max_size=4),
    max_leaves=8,
)


def constructs_or_one_line(make):
    try:
        space = make()
    except ValueError as error:
        message = str(error)
    else:
        message, again = "", CustomSpace.from_definition(space.definition())
        assert again.fields == space.fields
    assert "\n" not in message
    assert len(message) < 600


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELD_NAMES) | SCALARS, VALUES, max_size=5), st.booleans())
def test_any_fields(fields, with_required):
    description = SMALL | fields if with_required else fields
    constructs_or_one_line(lambda: CustomSpace.from_dict(description))


INSERTED = (b"&a ", b"*a", b"[", b"{", b": ", b"- ", b"!!int ", b"0x", b"|", b"?", b"\n", b"'")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_mutated_files(tmp_path_factory, data):
    content = bytearray(FULL, "utf-8")
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(("replace", "cut", "double", "insert")))
        if kind == "replace":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            content[at:at] = data.draw(
                st.sampled_from((b"&a ", b"*a", b"[", b"{", b": ", b"- ", b"!!int ", b"0x", b"|", b"?"))
            )
        else:
            end = at + data.draw(st.integers(1, 30))
            content[at:end] = content[at:end] * (2 if kind == "double" else 0)
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_bytes(bytes(content))
    constructs_or_one_line(lambda: CustomSpace.from_file(path))


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_any_text(text):
    constructs_or_one_line(lambda: CustomSpace.from_definition(text))
