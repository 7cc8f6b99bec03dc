"""Batches of graphs, and decoded graphs as architectures, beside one `Architecture` at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture
from cate_hf.autoencoders._graphs import GraphBatch, GraphShape, as_architectures
from tests.encodings.conftest import space_of


def renumbered(graph: Architecture, seed: int) -> Architecture:
    """The same graph with the nodes between input and output in another topological order."""
    rng, left, order = np.random.default_rng(seed), set(range(1, graph.num_nodes - 1)), [0]
    while left:
        free = [node for node in sorted(left) if not any(graph.adjacency[other, node] for other in left)]
        order.append(int(rng.choice(free)))
        left.remove(order[-1])
    order.append(graph.num_nodes - 1)
    return Architecture([graph.operations[node] for node in order], graph.adjacency[np.ix_(order, order)])


SPACES = ("tiny", "two-inputs", "nasbench101", "nasbench201", "darts")


@pytest.mark.parametrize("name", SPACES)
def test_a_batch_is_its_architectures(name):
    space = space_of(name)
    table = space.pool()[:50]
    shape = GraphShape.of(space)
    batch = GraphBatch.from_table(table, shape)
    assert batch.types.shape == (len(table), space.max_nodes)
    for row, architecture in enumerate(table):
        nodes = architecture.num_nodes
        assert batch.num_nodes[row] == nodes
        assert [space.vocabulary[kind] for kind in batch.types[row, :nodes]] == list(architecture.operations)
        assert (batch.types[row, nodes:] == shape.no_node).all()
        assert np.array_equal(batch.adjacency[row, :nodes, :nodes], architecture.adjacency)
        assert batch.adjacency[row].sum() == architecture.num_edges
        assert batch.used[row].tolist() == [True] * nodes + [False] * (space.max_nodes - nodes)
    assert batch.same_as(batch).all()


def test_graphs_differ_by_a_node_or_an_edge():
    space = space_of("nasbench101")
    batch = GraphBatch.from_table(space.pool()[100:104], GraphShape.of(space))
    types, adjacency = batch.types.clone(), batch.adjacency.clone()
    types[0, 1] = types[0, 1] % 3 + 1
    adjacency[2, 0, 1] = 1 - adjacency[2, 0, 1]
    assert batch.same_as(GraphBatch(types, adjacency, batch.num_nodes)).tolist() == [False, True, False, True]


def slow_architecture(space, types, adjacency):
    """The architecture that a decoded graph is, None where it is none."""
    names = [*space.vocabulary, None]
    operations = [names[kind] for kind in types]
    if space.vocabulary[-1] not in operations:
        return None
    nodes = operations.index(space.vocabulary[-1]) + 1
    if any(operation is not None for operation in operations[nodes:]) or None in operations[:nodes] or nodes < 2:
        return None
    try:
        return space.validate(Architecture(operations[:nodes], np.triu(adjacency[:nodes, :nodes], 1)))
    except ValueError:
        return None


@pytest.mark.parametrize("name", SPACES)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), spoilt=st.sampled_from([0.0, 0.05, 0.5]))
def test_decoded_graphs_are_the_architectures_that_validation_finds(name, seed, spoilt):
    space, rng = space_of(name), np.random.default_rng(seed)
    table = space.pool()
    table = table[rng.integers(len(table), size=40)]
    shape = GraphShape.of(space)
    batch = GraphBatch.from_table(table, shape)
    types, adjacency = batch.types.numpy().copy(), batch.adjacency.numpy().copy()
    wrong = rng.random(types.shape) < spoilt * 0.5
    types[wrong] = rng.integers(0, shape.operations + 1, wrong.sum())
    flipped = np.triu(rng.random(adjacency.shape) < spoilt * 0.3, 1)
    adjacency = np.where(flipped, 1 - adjacency, adjacency)
    decoded = GraphBatch(torch.from_numpy(types), torch.from_numpy(adjacency), batch.num_nodes)

    found, rows = as_architectures(space, decoded)
    expected = [slow_architecture(space, *graph) for graph in zip(types, adjacency.astype(np.uint8), strict=True)]
    assert rows.tolist() == [row for row, architecture in enumerate(expected) if architecture is not None]
    hashes = [space.hash(architecture) for architecture in expected if architecture is not None]
    assert found.columns["hash"].tolist() == hashes
    if spoilt == 0.0:
        assert len(found) == 40
        assert found.columns["hash"].tolist() == table.columns["hash"].tolist()


def test_an_edgeless_cell_counts_where_the_space_has_one():
    for name, valid in (("nasbench201", 1), ("nasbench101", 0)):
        space = space_of(name)
        shape = GraphShape.of(space)
        types = torch.full((1, space.max_nodes), shape.no_node)
        types[0, 0], types[0, 1] = 0, shape.output
        batch = GraphBatch(types, torch.zeros(1, space.max_nodes, space.max_nodes), torch.tensor([2]))
        assert len(as_architectures(space, batch)[0]) == valid
