import operator
from types import SimpleNamespace

import networkx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cate_hf import CateModel, CateTokenizer
from cate_hf.graphs import from_dot, from_fx, from_networkx, read_parquet, to_dot, write_parquet
from cate_hf.graphs.table import ArchitectureTable
from tests.graphs.blocks import Attention, ResidualBlock
from tests.tiny import tiny_model


def same_graph(arch, operations, edges):
    expected = networkx.DiGraph()
    expected.add_nodes_from((i, {"operation": name}) for i, name in enumerate(operations))
    expected.add_edges_from(edges)
    assert arch.is_isomorphic(from_networkx(expected)), arch


EXAMPLE = (torch.zeros(1, 2, 8, 8),)
RESIDUAL = {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8), (0, 9), (9, 10), (10, 8), (8, 11), (11, 12)}


class TestReading:
    def test_residual_block(self):
        operations = "input Conv2d BatchNorm2d ReLU Conv2d BatchNorm2d Dropout mul add Conv2d Identity ReLU output"
        block = ResidualBlock()
        for module in (block, torch.fx.symbolic_trace(block)):
            same_graph(from_fx(module), operations.split(), RESIDUAL)

    def test_exported_program(self):
        # Parameters are inputs of such a graph, and must not become nodes.
        arch = from_fx(torch.export.export(ResidualBlock().eval(), EXAMPLE), drop="dropout")
        operations = "input Conv2d BatchNorm2d ReLU Conv2d BatchNorm2d mul add Conv2d ReLU output"
        edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (0, 8), (8, 7), (7, 9), (9, 10)]
        same_graph(arch, operations.split(), edges)

    def test_exported_program_that_changes_buffers(self):
        # In training BatchNorm returns new statistics as well: outputs of the graph, not of the block.
        arch = from_fx(torch.export.export(ResidualBlock().train(), EXAMPLE))
        assert arch.operations.count("output") == arch.operations.count("input") == 1
        assert arch.prune() == arch
        assert sum(arch.adjacency[:, -1]) == 1

    def test_transformer_block(self):
        arch = from_fx(Attention(), label="detailed", drop=("view", "transpose", "reshape", "getitem"))
        assert arch.prune(num_inputs=2) == arch
        counted = {name: arch.operations.count(name) for name in set(arch.operations)}
        kinds = {"LayerNorm": 2, "Linear": 4, "GELU": 1, "matmul": 2, "Softmax": 1, "add": 3, "chunk": 1}
        sizes = {"getattr": 1, "floordiv": 1}  # x.shape, and dim // heads, which the views read
        assert counted == {"input": 2, "output": 1} | kinds | sizes
        attention = arch.paths(num_inputs=2)
        assert "input|add|Softmax|matmul|Linear|add|add|output" in attention
        assert "input|LayerNorm|Linear|chunk|matmul|add|Softmax|matmul|Linear|add|add|output" in attention

    def test_labels(self):
        arch = from_fx(ResidualBlock(), label="detailed")
        assert {"Conv3x3/s2", "Conv3x3/dw", "Conv1x1/s2", "BatchNorm2d"} < set(arch.operations)
        arch = from_fx(ResidualBlock(), label=lambda node: node.op)
        assert set(arch.operations) == {"input", "call_module", "call_function", "output"}
        with pytest.raises(ValueError, match="GraphModule|ResidualBlock: node 'conv1': the operation must be a name"):
            from_fx(ResidualBlock(), label=lambda node: None)

    def test_detailed_kernels(self):
        layers = [nn.Conv1d(4, 4, 5, dilation=2, groups=2), nn.MaxPool1d(3, 2), nn.ConvTranspose1d(4, 4, 3, groups=4)]
        arch = from_fx(nn.Sequential(*layers, nn.AvgPool2d((2, 1), stride=(2, 1))), label="detailed")
        assert arch.operations[1:-1] == ("Conv5/d2/g2", "MaxPool3/s2", "ConvTranspose3/dw", "AvgPool2x1/s2x1")

    def test_several_inputs_and_outputs(self):
        class Two(nn.Module):
            def forward(self, a, b, unused=None):
                return {"sum": operator.add(a, b), "parts": [a, b.neg()]}

        arch = from_fx(Two())
        assert arch.operations == ("input", "input", "add", "neg", "output")
        assert arch.edges == [(0, 2), (0, 4), (1, 2), (1, 3), (2, 4), (3, 4)]


class Mixed(nn.Module):
    """A stem, two blocks with a way round, and a head; modules, functions, methods, in place and not."""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        self.stem = nn.Sequential(*layers)
        self.layers = nn.Sequential(InPlace(), InPlace())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(4, 3), nn.Softmax(1))

    def forward(self, x):
        return self.head(self.layers(self.stem(x)))


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(4, 4, 1), nn.ReLU6()

    def forward(self, x):
        y = F.leaky_relu_(self.act(self.conv(x)), 0.1)
        y += F.avg_pool2d(x, 3, 1, 1)
        return torch.cat([y.sigmoid(), y / 2], 1).mean(1, keepdim=True).relu_() * F.gelu(x)


class TestNames:
    def test_a_network_by_both_routes(self):
        network = Mixed().eval()
        traced, exported = from_fx(network), from_fx(torch.export.export(network, EXAMPLE))
        assert traced == exported
        modules = "Conv2d ReLU6 LeakyReLU GELU Sigmoid AvgPool2d AdaptiveAvgPool2d Flatten Dropout Linear Softmax"
        assert {*modules.split(), "add", "mul", "div", "cat"} < {*traced.operations}
        for name in ("layers.1", "stem"):
            part = from_fx(torch.export.export(network, EXAMPLE), start=name, end=name)
            assert from_fx(network, start=name, end=name) == part

    def test_decomposed_programs(self):
        layers = [nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.ConvTranspose1d(4, 2, 3)]
        program = torch.export.export(nn.Sequential(*layers).eval(), (torch.zeros(1, 2, 8),))
        names = ("input", "Conv1d", "BatchNorm1d", "ReLU", "ConvTranspose1d", "output")
        assert from_fx(program).operations == names
        assert from_fx(program.run_decompositions(), drop="getitem").operations == names

    def test_a_module_alone_and_names_to_drop(self):
        assert from_fx(nn.Conv2d(3, 3, 3), label="detailed").operations == ("input", "Conv3x3", "output")
        dropped = from_fx(Mixed(), start="layers.0", end="layers.0", drop=("relu6", "leaky_relu_", "BatchNorm1d"))
        assert "ReLU6" not in dropped.operations
        assert "LeakyReLU" not in dropped.operations


class TestPart:
    def test_modules_with_others_in_them(self):
        network = Mixed()
        block = from_fx(InPlace())
        assert from_fx(network, start="layers.1", end="layers.1") == block
        assert from_fx(network, start="layers.0", end="layers.1") == from_fx(nn.Sequential(InPlace(), InPlace()))
        assert from_fx(network, start="stem.2", end="layers.0").operations[:3] == ("input", "ReLU", "MaxPool2d")
        assert from_fx(network, start="head").operations[1:3] == ("AdaptiveAvgPool2d", "Flatten")
        with pytest.raises(ValueError, match=r"Mixed: no node 'layer.1'; did you mean 'layers.1'\?"):
            from_fx(network, start="layer.1")
        with pytest.raises(ValueError, match="no path leads from 'layers' to 'stem'"):
            from_fx(network, start="layers", end="stem")

    def test_by_modules_and_by_nodes(self):
        block = ResidualBlock()
        arch = from_fx(block, start="bn1", end="conv2")
        assert arch.operations == ("input", "BatchNorm2d", "ReLU", "Conv2d", "output")
        arch = from_fx(block, start="shortcut.0", end="add")
        assert arch.operations == ("input", "Conv2d", "Identity", "add", "output")
        assert from_fx(block, start="shortcut_0", end="add") == arch
        assert from_fx(block, start="x", end="relu_1") == from_fx(block)
        arch = from_fx(block, start=["mul", "shortcut.1"])
        assert arch.operations == ("input", "input", "mul", "Identity", "add", "ReLU", "output")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"start": "conv3"}, r"ResidualBlock: no node 'conv3'; did you mean 'conv.'\?"),
            ({"end": "scale"}, "no node 'scale'"),
            ({"start": "conv2", "end": "conv1"}, "no path leads from 'conv2' to 'conv1'"),
            ({"start": ["conv1", "shortcut.0"], "end": "bn2"}, "no path leads from 'shortcut.0' to 'bn2'"),
            ({"start": "sigmoid"}, "no path leads from 'sigmoid' to the outputs"),
            ({"start": 3}, "start must be a name or a list of names, got 3"),
            ({"drop": ("BatchNorm",)}, "ResidualBlock: no operation to drop 'BatchNorm'; did you mean 'BatchNorm2d'"),
            ({"label": "full"}, "label must be a function"),
        ],
    )
    def test_errors(self, arguments, message):
        with pytest.raises(ValueError, match=message) as caught:
            from_fx(ResidualBlock(), **arguments)
        assert "\n" not in str(caught.value)

    def test_a_module_called_twice(self):
        class Shared(nn.Module):
            def __init__(self):
                super().__init__()
                self.relu = nn.ReLU()

            def forward(self, x):
                return self.relu(self.relu(x) + 1)

        assert from_fx(Shared()).operations == ("input", "ReLU", "add", "ReLU", "output")
        with pytest.raises(ValueError, match=r"'layer.act' is called 2 times; name one of 'layer_act', 'layer_act_1'"):
            from_fx(nested(), start="layer.act")


def nested():
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(self.act(x) + 1)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Layer()

        def forward(self, x):
            return self.layer(x)

    return Outer()


def test_a_module_that_cannot_be_traced():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"^Branches: torch.fx cannot trace it \(TraceError: .*torch.export") as caught:
        from_fx(Branches())
    assert "\n" not in str(caught.value)


def test_modules_without_a_way_through():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.zeros(1)

    with pytest.raises(ValueError, match="no path leads from the inputs to the outputs"):
        from_fx(Constant())


def test_other_objects():
    with pytest.raises(ValueError, match=r"expected a torch.nn.Module, .*, got str"):
        from_fx("model.pt")


def test_too_many_nodes():
    deep = nn.Sequential(*(nn.ReLU() for _ in range(1100)))
    with pytest.raises(ValueError, match="Sequential: 1,102 nodes, an architecture has at most 1024"):
        from_fx(deep)
    assert len(from_fx(deep, start="10", end="1031")) == 1024


def test_from_torch_to_an_encoding(tmp_path):
    """What comes out is an architecture like any other: hash, closure, table, files, and a model that reads it."""
    blocks = [ResidualBlock(), ResidualBlock(stride=1), Attention(), nn.Sequential(nn.Linear(2, 2), nn.ReLU())]
    archs = [from_fx(block, drop=("Dropout", "Identity")) for block in blocks]
    assert archs[0] == archs[1]
    assert len({arch.hash() for arch in archs}) == 3
    for arch in archs:
        assert arch.closure()[0, -1] == 1
        assert from_dot(to_dot(arch)) == arch
    table = ArchitectureTable.from_architectures(archs)
    write_parquet(table, tmp_path / "blocks.parquet")
    table = read_parquet(tmp_path / "blocks.parquet")
    assert list(table) == archs
    space = SimpleNamespace(name="blocks", vocabulary=table.vocabulary, max_nodes=table.max_nodes)
    model = tiny_model(space, model_class=CateModel)
    tokenizer = CateTokenizer.from_config(model.config)
    with torch.no_grad():
        encodings = model(**tokenizer(archs, return_tensors="pt")).pooler_output
    assert encodings.shape == (4, 16)
    torch.testing.assert_close(encodings[0], encodings[1])
    assert (encodings[0] - encodings[2]).abs().max() > 1e-4
