import builtins
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture
from cate_hf.graphs import from_dot, from_fx, from_onnx, to_dot

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

relaxed = settings(deadline=None, max_examples=150)


def value(name, shape=(1, 2, 16, 16)):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def tensor(name, *shape):
    return numpy_helper.from_array(np.zeros(shape, dtype=np.float32), name)


def node(operation, inputs, outputs, name="", **attributes):
    return helper.make_node(operation, inputs.split(), outputs.split(), name=name, **attributes)


def model(nodes, inputs=("x",), outputs=("y",), constants=(), checked=True):
    graph = helper.make_graph(list(nodes), "graph", [value(n) for n in inputs], [value(n) for n in outputs], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    if checked:
        onnx.checker.check_model(made)
    return made


def residual():
    """A residual block as exporters write one: weights are initialisers, the bias of one an input too, a constant
    scale, an Identity, and a node whose result nobody wants."""
    nodes = [
        node("Conv", "x w1 b1", "c1", "conv1", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1", "relu1"),
        node("Conv", "r1 w2", "c2", "conv2", pads=[1, 1, 1, 1], group=2),
        node("Constant", "", "scale", "constant", value=tensor("", 1)),
        node("Mul", "c2 scale", "m", "mul"),
        node("Identity", "x", "kept", "identity"),
        node("Conv", "kept w3", "short", "conv3", kernel_shape=[1, 1], strides=[2, 2]),
        node("Add", "m short", "sum", "add"),
        node("Relu", "sum", "y", "relu2"),
        node("Sigmoid", "c1", "unused", "dead"),
    ]
    weights = [tensor("w1", 2, 2, 3, 3), tensor("b1", 2), tensor("w2", 2, 1, 3, 3), tensor("w3", 2, 2, 1, 1)]
    return model(nodes, inputs=("x", "b1"), constants=weights)


def same_graph(arch, operations, edges):
    expected = Architecture(operations, [[int((i, j) in edges) for j in range(len(arch))] for i in range(len(arch))])
    assert arch.is_isomorphic(expected), arch


class TestReading:
    def test_residual_block(self):
        arch = from_onnx(residual())
        operations = ["input", "Conv", "Identity", "Relu", "Conv", "Conv", "Mul", "Add", "Relu", "output"]
        same_graph(arch, operations, {(0, 1), (0, 2), (1, 3), (3, 4), (4, 6), (2, 5), (5, 7), (6, 7), (7, 8), (8, 9)})

    def test_drop(self):
        whole = from_onnx(residual())
        arch = from_onnx(residual(), drop=("Identity", "Dropout", "Mul"))
        same_graph(
            arch,
            ["input", "Conv", "Relu", "Conv", "Conv", "Add", "Relu", "output"],
            {(0, 1), (0, 3), (1, 2), (2, 4), (4, 5), (3, 5), (5, 6), (6, 7)},
        )
        assert from_onnx(residual(), drop="Dropout") == whole

    def test_labels(self):
        arch = from_onnx(residual(), label="detailed", drop="Identity")
        assert sorted(arch.operations) == sorted(
            ["input", "Conv3x3/s2", "Relu", "Conv3x3/dw", "Mul", "Conv1x1/s2", "Add", "Relu", "output"]
        )
        arch = from_onnx(residual(), label=lambda node: f"{node.op_type}/{len(node.input)}")
        assert {"Conv/3", "Conv/2", "Add/2"} < set(arch.operations)
        with pytest.raises(ValueError, match="ONNX model: node 'conv1': the operation must be a name, got 3"):
            from_onnx(residual(), label=lambda node: 3)
        with pytest.raises(ValueError, match="label must be a function of a node, 'detailed' or None, got 'detail'"):
            from_onnx(residual(), label="detail")

    def test_detailed_kernels(self):
        nodes = [
            node("MaxPool", "x", "a", kernel_shape=[3, 2], strides=[2, 1]),
            node("Conv", "a w", "b", dilations=[2, 2], group=2),
            node("ConvTranspose", "b t", "c", group=4),
            node("AveragePool", "c", "d", kernel_shape=[2, 2]),
            node("Conv", "d computed", "e"),
            node("GlobalAveragePool", "e", "y"),
        ]
        made = model(nodes, inputs=("x", "computed"), constants=[tensor("w", 4, 2, 5, 5), tensor("t", 4, 1, 3, 3)])
        arch = from_onnx(made, start="x", label="detailed")
        kernels = ("MaxPool3x2/s2x1", "Conv5x5/d2/g2", "ConvTranspose3x3/dw", "AveragePool2x2")
        assert arch.operations == ("input", *kernels, "Conv", "GlobalAveragePool", "output")

    def test_several_inputs_and_outputs(self):
        nodes = [node("Add", "a b", "s"), node("Relu", "s", "r"), node("Split", "r", "p q"), node("Neg", "q", "n")]
        arch = from_onnx(model(nodes, inputs=("a", "unused", "b"), outputs=("p", "s", "n")))
        assert arch.operations == ("input", "input", "Add", "Relu", "Split", "Neg", "output")
        assert arch.edges == [(0, 2), (1, 2), (2, 3), (2, 6), (3, 4), (4, 5), (4, 6), (5, 6)]

    def test_tensors_that_branches_take_from_outside(self):
        def branch(name, operation):
            inner = node(operation, "outside own", f"{name}_out")
            return helper.make_graph([inner], name, [], [value(f"{name}_out")], [tensor("own", 1)])

        nodes = [
            node("Relu", "x", "outside"),
            node("Relu", "outside", "own", "hidden by the branch's own"),
            node("ReduceMax", "x", "most", keepdims=0),
            node("Cast", "most", "condition", to=TensorProto.BOOL),
            node("If", "condition", "y", then_branch=branch("then", "Add"), else_branch=branch("else", "Mul")),
        ]
        arch = from_onnx(model(nodes, checked=False))
        assert arch.operations == ("input", "Relu", "ReduceMax", "Cast", "If", "output")
        assert arch.edges == [(0, 1), (0, 2), (1, 4), (2, 3), (3, 4), (4, 5)]

    def test_nodes_without_names_or_with_equal_ones(self):
        nodes = [
            node("Relu", "x", "a", "same"),
            node("Neg", "a", "b", "same"),
            node("Abs", "b", "c"),
            node("Exp", "c", "y"),
        ]
        assert from_onnx(model(nodes)).operations == ("input", "Relu", "Neg", "Abs", "Exp", "output")


class TestPart:
    def test_between_tensors(self):
        arch = from_onnx(residual(), start="r1", end="m")
        assert arch.operations == ("input", "Conv", "Mul", "output")
        assert arch.edges == [(0, 1), (1, 2), (2, 3)]

    def test_between_nodes(self):
        arch = from_onnx(residual(), start="relu1", end="add")
        assert arch.operations == ("input", "Relu", "Conv", "Mul", "Add", "output")
        assert arch.num_edges == 5

    def test_from_several_tensors(self):
        arch = from_onnx(residual(), start=["m", "short"], end=["sum"])
        assert arch.operations == ("input", "input", "Add", "output")
        assert arch.edges == [(0, 2), (1, 2), (2, 3)]

    def test_a_start_cuts_what_comes_before_it(self):
        # c1 leads to m; once m is an input of its own, it does not.
        arch = from_onnx(residual(), start=["c1", "m", "short"], end=["unused", "sum"])
        assert arch.operations == ("input", "input", "input", "Add", "Sigmoid", "output")
        assert arch.edges == [(0, 4), (1, 3), (2, 3), (3, 5), (4, 5)]

    def test_a_tensor_alone(self):
        arch = from_onnx(residual(), start="r1", end="r1")
        assert arch == Architecture(["input", "output"], [[0, 1], [0, 0]])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"start": "conv9"}, r"ONNX model: no tensor or node 'conv9'; did you mean 'conv.'\?"),
            ({"end": "sums"}, "no tensor or node 'sums'; did you mean 'sum'"),
            ({"end": ""}, "no tensor or node ''"),
            ({"start": "w1"}, "'w1' is a constant"),
            ({"end": "b1"}, "'b1' is a constant"),
            ({"start": "m", "end": "c1"}, "no path leads from 'm' to 'c1'"),
            ({"start": ["c1", "short"], "end": "m"}, "no path leads from 'short' to 'm'"),
            ({"end": ["sum", "scale"]}, "no path leads from the inputs to 'scale'"),
            ({"start": "unused"}, "no path leads from 'unused' to the outputs"),
            ({"start": 3}, "start must be a name or a list of names, got 3"),
            ({"end": ["y", 3]}, "end must be a name or a list of names"),
        ],
    )
    def test_errors(self, arguments, message):
        with pytest.raises(ValueError, match=message) as caught:
            from_onnx(residual(), **arguments)
        assert "\n" not in str(caught.value)

    def test_several_nodes_of_a_name(self):
        made = model([node("Relu", "x", "a", "same"), node("Neg", "a", "y", "same")])
        with pytest.raises(ValueError, match="2 nodes have the name 'same'; give the name of a tensor"):
            from_onnx(made, end="same")


class TestFiles:
    def test_external_data_is_not_loaded(self, tmp_path):
        made = residual()
        expected = from_onnx(made)
        path = tmp_path / "block.onnx"
        onnx.save(made, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
        assert (tmp_path / "weights.bin").stat().st_size > 0
        (tmp_path / "weights.bin").unlink()
        assert from_onnx(path) == expected
        assert from_onnx(str(path), label="detailed").operations[1].startswith("Conv3x3")

    def test_files_that_are_no_models(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"absent.onnx: no such file"):
            from_onnx(tmp_path / "absent.onnx")
        path = tmp_path / "bad.onnx"
        for data, message in ((b"", "without a graph"), (b"PK\x03\x04 no model", "not an ONNX model")):
            path.write_bytes(data)
            with pytest.raises(ValueError, match=rf"bad.onnx: .*{message}"):
                from_onnx(path)
        with pytest.raises(ValueError, match="expected a path or an onnx.ModelProto, got bytes"):
            from_onnx(b"")

    def test_too_many_nodes(self):
        nodes = [node("Relu", f"t{i}", f"t{i + 1}") for i in range(1100)]
        made = model(nodes, inputs=("t0",), outputs=("t1100",))
        with pytest.raises(
            ValueError, match="ONNX model: 1,102 nodes, an architecture has at most 1024; choose a part"
        ):
            from_onnx(made)
        assert len(from_onnx(made, start="t0", end="t1022")) == 1024
        assert len(from_onnx(made, drop="Relu")) == 2

    def test_graphs_that_are_wrong(self):
        twice = model([node("Relu", "x", "y"), node("Neg", "x", "y", "neg")], checked=False)
        with pytest.raises(ValueError, match="node 'neg': tensor 'y' has been made before"):
            from_onnx(twice)
        loop = model([node("Add", "x b", "a", "p"), node("Neg", "a", "b", "q"), node("Abs", "b", "y")], checked=False)
        with pytest.raises(ValueError, match="ONNX model: cycle 'p' -> 'q' -> 'p'; the graph must be acyclic"):
            from_onnx(loop)
        apart = model([node("Relu", "x", "a"), node("Neg", "z", "y")], checked=False)
        with pytest.raises(ValueError, match="no path leads from the inputs to the outputs"):
            from_onnx(apart)

    def test_without_the_package(self, monkeypatch):
        load = builtins.__import__

        def absent(name, *arguments, **keywords):
            if name.split(".")[0] == "onnx":
                raise ImportError(name)
            return load(name, *arguments, **keywords)

        monkeypatch.setattr(builtins, "__import__", absent)
        with pytest.raises(ValueError, match=r"needs the package onnx: pip install 'cate_hf\[graphs\]'"):
            from_onnx("block.onnx")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_that_torch_exported(tmp_path):
    """The exporter folds BatchNorm into the convolutions and leaves Dropout and Identity out; the rest is as by fx."""
    import torch

    from tests.graphs.blocks import ResidualBlock

    block = ResidualBlock().eval()
    try:
        torch.onnx.export(block, (torch.zeros(1, 2, 8, 8),), tmp_path / "block.onnx", dynamo=False)
    except (ImportError, TypeError) as error:
        pytest.skip(f"this torch exports no ONNX without further packages ({error})")
    names = {"Conv": "Conv2d", "Relu": "ReLU", "Mul": "mul", "Add": "add"}
    arch = from_onnx(tmp_path / "block.onnx", label=lambda node: names.get(node.op_type, node.op_type))
    assert arch.is_isomorphic(from_fx(block, drop=("BatchNorm2d", "Dropout", "Identity")))


def test_the_nasbench301_surrogate():
    """A real model: 34 embeddings of the configuration, then a network of fully connected layers."""
    default = Path(__file__).parents[3] / "shared" / "data" / "nasbench301" / "surrogate.onnx"
    path = Path(os.environ.get("CATE_NASBENCH301_SURROGATE", default))
    if not path.is_file():
        pytest.skip(f"no ONNX surrogate of NAS-Bench-301 at {path}; set CATE_NASBENCH301_SURROGATE")
    arch = from_onnx(path)
    proto = onnx.load(path, load_external_data=False).graph
    counts = {"input": 2, "output": 1}
    for item in proto.node:
        if item.op_type != "Constant":
            counts[item.op_type] = counts.get(item.op_type, 0) + 1
    found = {name: arch.operations.count(name) for name in set(arch.operations)}
    assert found.items() <= counts.items()
    assert set(counts) - set(found) <= {"ConstantOfShape", "Shape"}
    assert arch.prune(num_inputs=2) == arch
    assert from_dot(to_dot(arch)) == arch


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "mutated.onnx"
    return path, residual().SerializeToString()


def read_or_refuse(path):
    try:
        arch = from_onnx(path, label="detailed")
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert Architecture(arch.operations, arch.adjacency) == arch
    assert "\n" not in refusal


@relaxed
@given(st.data())
def test_fuzz_mutated_models(saved, data):
    path, whole = saved
    mutated = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        kind = data.draw(st.sampled_from(["change", "remove", "insert", "cut"]))
        if kind == "change":
            mutated[place] = data.draw(st.integers(0, 255))
        elif kind == "remove":
            del mutated[place : place + data.draw(st.integers(1, 8))]
        elif kind == "insert":
            mutated[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        elif place:
            del mutated[place:]
        if not mutated:
            break
    path.write_bytes(mutated)
    read_or_refuse(path)


@relaxed
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_fuzz_names(saved, place, byte):
    """Bytes of names and operators, which a model has before its weights, and where it stays readable."""
    path, whole = saved
    mutated = bytearray(whole)
    mutated[place % (whole.index(b"unused") + 6)] = byte
    path.write_bytes(mutated)
    read_or_refuse(path)
