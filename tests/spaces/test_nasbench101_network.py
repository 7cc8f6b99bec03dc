import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from cate_hf import Architecture
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces.nasbench101._costs import costs, vertex_channels
from cate_hf.spaces.nasbench101._network import Cell, build_nasbench101
from tests.spaces.counting import counted_flops, counted_parameters, losses_of_training, on_meta
from tests.strategies import VOCABULARY, architectures

CONV1, CONV3, POOL = VOCABULARY[1:-1]
# input → conv3x3 and max pooling, conv3x3 → max pooling, and all three → output.
FORK = Architecture(["input", CONV3, POOL, "output"], [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0] * 4])


@st.composite
def cells(draw):
    """Cells of any drawing, pruned, of any number of edges: the costs have no limit of them."""
    cell = draw(architectures())
    assume(cell.closure()[0, -1])
    return cell.prune()


def analytic(cell, **sizes):
    parameters, flops = costs(ArchitectureTable.from_architectures([cell], VOCABULARY), **sizes)
    return int(parameters[0]), int(flops[0])


@settings(deadline=None, max_examples=60)
@given(
    cell=cells(),
    channels=st.integers(5, 20),
    depth=st.integers(1, 3),
    classes=st.integers(1, 50),
    stacks=st.integers(1, 4),
)
def test_parameters_are_those_of_the_built_network(cell, channels, depth, classes, stacks):
    sizes = {"channels": channels, "cells": depth, "classes": classes, "stacks": stacks}
    assert analytic(cell, **sizes)[0] == counted_parameters(on_meta(build_nasbench101, cell, **sizes))


@settings(deadline=None, max_examples=20)
@given(cell=cells(), channels=st.integers(5, 20), image_size=st.integers(1, 40))
def test_flops_are_those_that_torch_counts(cell, channels, image_size):
    network = on_meta(build_nasbench101, cell, channels=channels).eval()
    assert analytic(cell, channels=channels, image_size=image_size)[1] == counted_flops(network, image_size)


@settings(deadline=None, max_examples=10)
@given(cell=cells())
def test_the_default_network_is_the_benchmarks(cell):
    network = on_meta(build_nasbench101, cell).eval()
    assert analytic(cell) == (counted_parameters(network), counted_flops(network, 32))


def test_drawings_that_differ_in_parameters():
    """With 7 channels for two vertices the first has 4, whichever it is."""
    edges = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4]
    drawings = [Architecture(["input", *pair, "output"], edges) for pair in ((CONV3, POOL), (POOL, CONV3))]
    counts = [counted_parameters(on_meta(build_nasbench101, cell, channels=7)) for cell in drawings]
    assert counts[0] != counts[1]
    assert [analytic(cell, channels=7)[0] for cell in drawings] == counts


def test_a_cell_truncates_adds_and_concatenates():
    cell = Cell(FORK, source=4, channels=5).eval()
    assert cell.widths[1:] == [3, 2, 5]
    x = torch.randn(2, 4, 6, 6)
    one = cell.operations[0](cell.projections["1"](x))
    two = nn.functional.max_pool2d(cell.projections["2"](x) + one[:, :2], 3, stride=1, padding=1)
    expected = torch.cat([one, two], dim=1) + cell.projections["3"](x)
    torch.testing.assert_close(cell(x), expected)


def test_a_cell_without_operations_is_a_projection():
    cell = Cell(Architecture(["input", "output"], [[0, 1], [0, 0]]), source=4, channels=5).eval()
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(cell(x), cell.projections["1"](x))
    assert cell(x).min() >= 0


def test_dead_ends_are_pruned():
    dead = Architecture(["input", CONV3, POOL, "output"], [[0, 1, 1, 0], [0, 0, 0, 1], [0] * 4, [0] * 4])
    network = on_meta(build_nasbench101, dead, channels=6)
    assert counted_parameters(network) == analytic(dead.prune(), channels=6)[0]


def test_weights_start_with_variance_one_over_fan_in():
    torch.manual_seed(0)
    network = build_nasbench101(FORK, channels=32, cells=1, stacks=1)
    weight = network.stacks[0][0].operations[0][0].weight
    std = (weight[0].numel()) ** -0.5
    assert weight.std().item() == pytest.approx(std, rel=0.1)
    assert weight.abs().max() < 2.3 * std
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.003}


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    network = build_nasbench101(FORK, channels=6, cells=1, classes=4)
    losses = losses_of_training(network, cross_entropy, image_size=16)
    assert losses[-1] < 0.7 * losses[0]


def test_a_saved_state_gives_the_same_network():
    network, other = (build_nasbench101(FORK, channels=5, cells=2) for _ in range(2))
    images = torch.randn(2, 3, 9, 9)
    network.train()(images)  # running statistics move
    other.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(images), other.eval()(images))


@pytest.mark.parametrize(
    ("cell", "sizes", "message"),
    [
        (
            Architecture(["input", "conv5x5", "output"], np.eye(3, k=1, dtype=int)),
            {},
            "node 1: unknown operation 'conv5x5'",
        ),
        (Architecture(["input", CONV3, "output"], [[0, 1, 0], [0] * 3, [0] * 3]), {}, "no path"),
        (FORK, {"channels": 1}, "channels must be at least 2 for a cell that concatenates as many vertices"),
        (FORK, {"stacks": 0}, "stacks must be an integer of at least 1, not 0"),
    ],
)
def test_what_cannot_be_built_is_told_why(cell, sizes, message):
    with pytest.raises(ValueError, match=message):
        build_nasbench101(cell, **sizes)


def test_wrong_settings_of_the_costs_are_refused():
    for sizes, message in (({"channels": 1}, "channels must be at least 2"), ({"image_size": 0}, "image_size must be")):
        with pytest.raises(ValueError, match=message):
            analytic(FORK, **sizes)
    assert vertex_channels(np.zeros((0, 4, 4), dtype=bool), 3).shape == (0, 4)
