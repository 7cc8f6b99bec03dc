import json
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from cate_hf import load_benchmark
from cate_hf.benchmarks.nasbench301._gin import Gin
from tests import nasbench301_files as files
from tests.nasbench301_files import SPACE

PAIRS = files.sample_pairs(12, seed=8)
KINDS = (
    *("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect"),
    *("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
)
CONFIG = {
    "num_gnn_layers": 3,
    "gnn_hidden_dimensions": 12,
    "graph_pooling": "mean",
    "virtual_node": True,
    "dropout_prob": 0.03,
    "graph_preprocessing:undirected_graph": False,
    "graph_preprocessing:self_loops": False,
    "graph_preprocessing:add_node_degree_one_hot": True,
}


def cell_edges(settings: dict[str, str], cell: str) -> list[tuple[int, int, str]]:
    """Edges (source, target, operation) of a cell of 7 nodes, as the published code pairs them: the edges in the order
    of their sources, the operations in the order of the hyperparameters."""
    adjacency = np.zeros((7, 7))
    adjacency[[0, 1], 2] = 1
    for node in (3, 4, 5):
        for parent in settings[f"inputs_node_{cell}_{node}"].split("_"):
            adjacency[int(parent), node] = 1
    operations = [settings[f"edge_{cell}_{i}"] for i in range(14) if f"edge_{cell}_{i}" in settings]
    edges = [(int(i), int(j), name) for (i, j), name in zip(np.argwhere(adjacency), operations, strict=True)]
    return edges + [(node, 6, "none") for node in (2, 3, 4, 5)]


def graph(pair) -> list[tuple[int, int, str]]:
    settings = {name.rpartition(":")[2]: value for name, value in SPACE.configuration(pair).items()}
    reduction = [(i + 7, j + 7, name) for i, j, name in cell_edges(settings, "reduce")]
    joins = [(i, j, "none") for i, j in ((6, 6), (6, 7), (6, 8), (13, 0), (13, 1))]
    return cell_edges(settings, "normal") + reduction + joins


class Block(nn.Module):
    """A module with the given children, by their published names."""

    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)


def mlp(width: int, final: bool) -> nn.Sequential:
    layers = [nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Linear(2 * width, width)]
    return nn.Sequential(*layers, *([nn.BatchNorm1d(width), nn.ReLU()] if final else []))


class Reference(nn.Module):
    """The network one graph, one node and one edge at a time, its parameters named as the published ones."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        layers, width = config["num_gnn_layers"], config["gnn_hidden_dimensions"]
        self.node_encoder = Block(type_encoder=nn.Embedding(4, width), attribute_encoder=nn.Embedding(8, width))
        self.gnn_node = Block(
            node_encoder=self.node_encoder,
            virtualnode_embedding=nn.Embedding(1, width),
            convs=nn.ModuleList(
                Block(mlp=mlp(width, False), eps=nn.Parameter(torch.rand(1)), edge_encoder=nn.Embedding(8, width))
                for _ in range(layers)
            ),
            batch_norms=nn.ModuleList(nn.BatchNorm1d(width) for _ in range(layers)),
            mlp_virtualnode_list=nn.ModuleList(mlp(width, True) for _ in range(layers - 1)),
        )
        self.graph_pred_linear = nn.Linear(width, 1)

    def forward(self, edges: list[tuple[int, int, str]]) -> float:
        gnn = self.gnn_node
        kinds = [0, 1, 2, 2, 2, 2, 3] * 2
        near = [{j for i, j, _ in edges if i == n} | {i for i, j, _ in edges if j == n} for n in range(14)]
        if self.config["graph_preprocessing:undirected_graph"]:
            edges = edges + [(j, i, name) for i, j, name in edges]
        encoder = self.node_encoder
        h = [encoder.type_encoder.weight[kinds[n]] + encoder.attribute_encoder.weight[len(near[n])] for n in range(14)]
        virtual = gnn.virtualnode_embedding.weight[0]
        for layer, conv in enumerate(gnn.convs):
            h = [x + virtual for x in h]
            received = [torch.zeros_like(x) for x in h]
            for i, j, name in edges:
                received[j] = received[j] + torch.relu(h[i] + conv.edge_encoder.weight[KINDS.index(name)])
            new = torch.stack([(1 + conv.eps) * x + r for x, r in zip(h, received, strict=True)])
            new = gnn.batch_norms[layer](conv.mlp(new))
            if layer < len(gnn.convs) - 1:
                new = torch.relu(new)
                virtual = gnn.mlp_virtualnode_list[layer]((sum(h) + virtual)[None])[0]
            h = list(new)
        pooled = {"mean": torch.mean, "sum": torch.sum, "max": torch.amax}[self.config["graph_pooling"]]
        return 100 * torch.sigmoid(self.graph_pred_linear(pooled(torch.stack(h), dim=0))).item()


def reference(config: dict, seed: int = 0) -> Reference:
    torch.manual_seed(seed)
    network = Reference(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 4)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


def write(folder, network: nn.Module, config: dict, zipped: bool = True):
    file = files.write_member(folder, b"", "gnn_gin", **config)
    torch.save(network.state_dict(), file, _use_new_zipfile_serialization=zipped)
    return file


@pytest.mark.parametrize(
    ("change", "zipped"),
    [
        ({}, False),  # as torch 1.5 wrote files
        ({"graph_pooling": "sum", "num_gnn_layers": 2}, True),
        ({"graph_pooling": "max", "graph_preprocessing:undirected_graph": True}, True),
    ],
)
def test_predictions_are_the_networks(tmp_path, change, zipped, monkeypatch):
    config = {**CONFIG, **change}
    networks = [reference(config, seed) for seed in range(2)]
    for seed, network in enumerate(networks):
        write(tmp_path / "gnn_gin_v1.0" / str(seed), network, config, zipped)
    with torch.no_grad():
        expected = np.array([[network(graph(pair)) for pair in PAIRS] for network in networks])
    assert expected.std(axis=1).min() > 1e-3
    bench = load_benchmark("nasbench301", path=tmp_path)
    assert "2 graph isomorphism network models (gnn_gin_v1.0)" in repr(bench)
    assert bench.query_many(PAIRS) == pytest.approx(expected.mean(axis=0) / 100, abs=1e-6)
    monkeypatch.setattr("cate_hf.benchmarks.nasbench301._gin._BATCH", 5)
    assert bench.query_many(PAIRS) == pytest.approx(expected.mean(axis=0) / 100, abs=1e-6)


def test_the_model_of_a_release_is_chosen(tmp_path):
    network = reference(CONFIG)
    write(tmp_path / "gnn_gin_v1.0" / "0", network, CONFIG)
    content = files.pickled("xgboost.core", {"handle": bytearray(files.xgboost_binary(files.random_trees(2, 0)))})
    files.write_member(tmp_path / "xgb_v1.0" / "0", content, "xgb")
    assert "XGBoost" in repr(load_benchmark("nasbench301", path=tmp_path))
    chosen = load_benchmark("nasbench301", path=tmp_path, accuracy_model="gnn_gin")
    assert "graph isomorphism network" in repr(chosen)
    with torch.no_grad():
        assert chosen.query(PAIRS[0])["validation_accuracy"] == pytest.approx(network(graph(PAIRS[0])) / 100, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_gnn_layers": 4}, "gnn_node.*2.0.weight must be of shape .24, 12., not None; not the network of its"),
        ({"num_gnn_layers": 2}, "has gnn_node.*, which the network of its config has not"),
        ({"gnn_hidden_dimensions": 8}, "node_encoder.type_encoder.weight must be of shape .4, 8., not .4, 12."),
        ({"num_gnn_layers": 0}, "num_gnn_layers 0, expected 1 to 4096"),
        ({"num_gnn_layers": "3"}, "num_gnn_layers '3', expected 1 to 4096"),
        ({"graph_pooling": "set2set"}, "graph_pooling 'set2set' is not one of mean, sum, max"),
        ({"virtual_node": False}, "virtual_node False, expected True"),
        ({"graph_preprocessing:self_loops": True}, "graph_preprocessing:self_loops True, expected False"),
    ],
)
def test_other_networks_are_refused_in_one_line(tmp_path, change, message):
    file = write(tmp_path / "gin", reference(CONFIG), CONFIG)
    file.with_name("model_config.json").write_text(json.dumps({**CONFIG, "model": "gnn_gin", **change}))
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark("nasbench301", path=tmp_path)
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_weights_that_are_none(tmp_path):
    proof = tmp_path / "proof"
    RunsCode.folder = str(proof)
    state = reference(CONFIG).state_dict()
    state["graph_pred_linear.bias"][0] = torch.nan
    contents = {
        "graph_pred_linear.bias has numbers that are not finite": state,
        "holds a list, expected the weights of a network": [1],
        "cannot be read as weights of a network": {"eps": RunsCode()},
    }
    for number, (message, content) in enumerate(contents.items()):
        file = files.write_member(tmp_path / str(number), b"", "gnn_gin", **CONFIG)
        torch.save(content, file)
        with pytest.raises(ValueError, match=message) as error:
            load_benchmark("nasbench301", path=file.parent)
        assert "\n" not in str(error.value)
    assert not proof.exists()


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_one_line(tmp_path, data):
    path = tmp_path / "surrogate_model.model"
    torch.save(reference(CONFIG).state_dict(), path, _use_new_zipfile_serialization=data.draw(st.booleans()))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(content)
    _, message = files.outcome(lambda: Gin(path, CONFIG))
    assert message is None or ("surrogate_model.model" in message and "\n" not in message)
