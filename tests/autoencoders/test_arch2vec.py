"""arch2vec beside one graph at a time."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cate_hf import Architecture
from cate_hf.autoencoders._arch2vec_model import Arch2VecConfig, Arch2VecModel
from cate_hf.autoencoders._graphs import GraphBatch, GraphShape
from tests.autoencoders.test_vae_graphs import renumbered
from tests.encodings.conftest import space_of

SPACES = ("tiny", "two-inputs", "nasbench101", "nasbench201", "chain")


def small(name: str, **settings) -> Arch2VecModel:
    torch.manual_seed(0)
    model = Arch2VecModel(Arch2VecConfig(hidden_size=10, **settings), GraphShape.of(space_of(name)))
    with torch.no_grad():
        model.epsilon.normal_()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return model.eval()


def graphs_of(name: str, table) -> GraphBatch:
    return GraphBatch.from_table(table, GraphShape.of(space_of(name)))


def slow_means(model, space, architecture):
    """(L, latent) of an architecture's own nodes: one node at a time, its neighbours in both directions."""
    hidden = [
        F.one_hot(torch.tensor(space.vocabulary.index(name)), len(space.vocabulary) + 1).float()
        for name in architecture.operations
    ]
    for epsilon, layer in zip(model.epsilon, model.layers, strict=True):
        sums = [(1 + epsilon) * state for state in hidden]
        for x, y in architecture.edges:
            sums[x], sums[y] = sums[x] + hidden[y], sums[y] + hidden[x]
        hidden = [layer(total[None])[0] for total in sums]
    return model.mean(torch.stack(hidden))


@pytest.mark.parametrize("name", SPACES)
def test_a_batch_is_encoded_as_its_graphs_one_by_one(name):
    space, model = space_of(name), small(name)
    table = space.pool()[::7][:20]
    with torch.inference_mode():
        means = [slow_means(model, space, architecture) for architecture in table]
        latent = model.latent_mean(graphs_of(name, table))
        for row, mean in enumerate(means):
            torch.testing.assert_close(latent[row, : len(mean)], mean, atol=1e-4, rtol=1e-3)
        expected = torch.stack([mean.sum(0) / space.max_nodes for mean in means])
        torch.testing.assert_close(model.encode(graphs_of(name, table)), expected, atol=1e-4, rtol=1e-3)


def test_isomorphic_drawings_share_a_vector():
    space, model = space_of("nasbench101"), small("nasbench101")
    table = space.pool()
    cells = list(table[np.flatnonzero(table.num_nodes == 7)[:400:20]])
    others = [renumbered(cell, seed) for seed, cell in enumerate(cells)]
    assert sum(cell != other for cell, other in zip(cells, others, strict=True)) > 5
    with torch.inference_mode():
        a, b = (model.encode(graphs_of("nasbench101", space.table(both))) for both in (cells, others))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_direction_is_lost_as_the_docstring_says():
    conv, pool, one = "conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu"
    edges = [[(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4), x] for x in ((1, 2), (2, 1))]
    cells = []
    for names, drawn in (((conv, pool, one), edges[0]), ((pool, conv, one), [*edges[0][:-1], (1, 2)])):
        matrix = np.zeros((5, 5), dtype=int)
        matrix[tuple(zip(*drawn, strict=True))] = 1
        cells.append(Architecture(["input", *names, "output"], matrix))
    space, model = space_of("nasbench101"), small("nasbench101")
    assert space.hash(cells[0]) != space.hash(cells[1])
    with torch.inference_mode():
        a, b = model.encode(graphs_of("nasbench101", space.table(cells)))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_decoding_takes_inner_products_for_edges():
    model = small("nasbench101")
    latent = torch.randn(50, 7, model.dim)
    with torch.inference_mode():
        decoded = model.decode(latent)
        for row in range(50):
            kinds = model.operation(latent[row]).argmax(1).tolist()
            assert decoded.types[row].tolist() == kinds
            nodes = kinds.index(4) + 1 if 4 in kinds else 7
            assert decoded.num_nodes[row] == nodes
            for x in range(7):
                for y in range(7):
                    there = x < y < nodes and float(latent[row, x] @ latent[row, y]) > 0
                    assert bool(decoded.adjacency[row, x, y]) == there


def test_the_loss_is_that_of_its_parts():
    model = small("nasbench201", kl_weight=0.3)
    graphs = graphs_of("nasbench201", space_of("nasbench201").pool()[:10])
    with torch.inference_mode():
        torch.manual_seed(5)
        found = model.loss(graphs)
        torch.manual_seed(5)
        hidden = model._hidden(graphs)
        mean, deviation = model.mean(hidden), model.log_deviation(hidden).exp()
        latent = mean + torch.randn_like(mean) * deviation
        edges, operations = [], []
        for row in range(10):
            for y in range(8):
                probabilities = model.operation(latent[row, y]).softmax(0)
                operations.append(-probabilities[graphs.types[row, y]].log())
                for x in range(y):
                    probability = torch.sigmoid(latent[row, x] @ latent[row, y])
                    there = graphs.adjacency[row, x, y]
                    edges.append(-(there * probability.log() + (1 - there) * (1 - probability).log()))
        standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        divergence = torch.distributions.kl_divergence(torch.distributions.Normal(mean, deviation), standard)
        expected = torch.stack(edges).mean() + torch.stack(operations).mean() + 0.3 * divergence.sum(2).mean()
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert model.train().loss(graphs) != found  # dropout


def test_elements_are_counted_as_shares():
    space, model = space_of("nasbench101"), small("nasbench101")
    graphs = graphs_of("nasbench101", space.pool()[:1])
    types, adjacency = graphs.types.clone(), graphs.adjacency.clone()
    types[0, 2] = types[0, 2] % 3 + 1
    adjacency[0, 0, 3] = 1 - adjacency[0, 0, 3]
    changed = GraphBatch(types, adjacency, graphs.num_nodes)
    assert model.element_accuracy(graphs, changed).item() == pytest.approx((6 / 7 + 20 / 21) / 2)
