import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from cate_hf.spaces.darts._costs import OPERATIONS, CellPlan, costs, plan_cells
from cate_hf.spaces.darts._network import Cell, build_darts
from tests.spaces.counting import counted_flops, counted_parameters, losses_of_training, on_meta

ENTRIES = st.tuples(*(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 1 + i // 2)) for i in range(8)))
LABELS_VARIABLE = "CATE_NASBENCH301_LABELS"

# Cells that their papers print: DARTS (second order) and P-DARTS.
DARTS = (
    "sep_conv_3x3 0 sep_conv_3x3 1 sep_conv_3x3 0 sep_conv_3x3 1 sep_conv_3x3 1 skip_connect 0 skip_connect 0 "
    "dil_conv_3x3 2",
    "max_pool_3x3 0 max_pool_3x3 1 skip_connect 2 max_pool_3x3 1 max_pool_3x3 0 skip_connect 2 skip_connect 2 "
    "max_pool_3x3 1",
)
P_DARTS = (
    "skip_connect 0 dil_conv_3x3 1 skip_connect 0 sep_conv_3x3 1 sep_conv_3x3 1 sep_conv_3x3 3 sep_conv_3x3 0 "
    "dil_conv_5x5 4",
    "avg_pool_3x3 0 sep_conv_5x5 1 sep_conv_3x3 0 dil_conv_5x5 2 max_pool_3x3 0 dil_conv_3x3 1 dil_conv_3x3 1 "
    "dil_conv_5x5 3",
)


def genotype(text):
    words = text.split()
    return [(name, int(node)) for name, node in zip(words[::2], words[1::2], strict=True)]


def arrays(*genotypes):
    """Codes and inputs (1, 8) of each cell, as `costs` takes them."""
    for cell in genotypes:
        yield np.array([[OPERATIONS.index(name) for name, _ in cell]])
        yield np.array([[node for _, node in cell]])


def random_cells(rng):
    """Two different cells, in the form of a genotype."""
    return [
        [(OPERATIONS[rng.integers(7)], int(rng.integers(2 + i // 2))) for i in range(8)]
        for _ in ("normal", "reduction")
    ]


def analytic(pair, **sizes):
    parameters, flops = costs(*arrays(*pair), **sizes)
    return int(parameters[0]), int(flops[0])


@pytest.fixture(scope="module")
def labels():
    """Genotypes (N, 8) each and the published FLOPs (N,) of NAS-Bench-301 architectures; not part of the project."""
    import pyarrow.parquet as pq

    default = Path(__file__).parents[3] / "shared" / "data" / "nasbench301" / "labels.parquet"
    path = Path(os.environ.get(LABELS_VARIABLE, default))
    if not path.is_file():
        pytest.skip(f"no table of NAS-Bench-301 labels at {path}; set {LABELS_VARIABLE}")
    table = pq.read_table(path)
    cells = []
    for kind in ("normal", "reduce"):
        entries = table[kind].combine_chunks().flatten()
        names = entries.field("operation").to_pylist()
        cells.append(np.array([OPERATIONS.index(name) for name in names], dtype=np.uint8).reshape(-1, 8))
        cells.append(entries.field("input").to_numpy().reshape(-1, 8))
    return cells, table["flops"].to_numpy()


@settings(deadline=None, max_examples=40)
@given(
    normal=ENTRIES,
    reduction=ENTRIES,
    channels=st.integers(2, 20),
    cells=st.integers(1, 11),
    classes=st.integers(1, 50),
    auxiliary=st.booleans(),
    stem=st.sampled_from(["cifar", "imagenet"]),
)
def test_parameters_are_those_of_the_built_network(normal, reduction, stem, **sizes):
    network = on_meta(build_darts, normal, reduction, stem=stem, **sizes)
    image_size = 224 if stem == "imagenet" else 32
    assert analytic((normal, reduction), stem=stem, image_size=image_size, **sizes)[0] == counted_parameters(network)


@pytest.mark.long
def test_flops_are_those_that_torch_counts():
    rng = np.random.default_rng(0)
    for i in range(50):
        cells, auxiliary = random_cells(rng), i % 5 == 0
        assert cells[0] != cells[1]
        network = on_meta(build_darts, *cells, auxiliary=auxiliary).train(auxiliary)  # only training runs the head
        assert analytic(cells, auxiliary=auxiliary)[1] == counted_flops(network, 32)


@pytest.mark.parametrize(
    ("stem", "image_size", "auxiliary", "cells", "channels"),
    [
        ("imagenet", 224, False, 5, 6),
        ("imagenet", 224, True, 8, 4),
        ("imagenet", 149, False, 3, 3),
        ("cifar", 33, False, 7, 5),
        ("cifar", 61, True, 6, 4),
        ("cifar", 32, True, 1, 3),
        ("cifar", 32, True, 2, 3),
        ("cifar", 5, False, 4, 1),
    ],
)
def test_flops_of_other_stems_sizes_and_depths(stem, image_size, auxiliary, cells, channels):
    rng = np.random.default_rng(image_size)
    sizes = {"stem": stem, "auxiliary": auxiliary, "cells": cells, "channels": channels, "classes": 7}
    for _ in range(2):
        pair = random_cells(rng)
        network = on_meta(build_darts, *pair, **sizes).train(auxiliary)
        expected = counted_parameters(network), counted_flops(network, image_size)
        assert analytic(pair, image_size=image_size, **sizes) == expected


def test_parameters_of_published_cells():
    """3.3 M parameters in the paper of DARTS (4.7 M on ImageNet), 3.4 M in that of P-DARTS, whose authors' code counts
    3,433,798 without the auxiliary head and 3,910,224 with it."""
    darts, p_darts = ([genotype(text) for text in cells] for cells in (DARTS, P_DARTS))
    large = {"channels": 36, "cells": 20}
    imagenet = {"channels": 48, "cells": 14, "classes": 1000, "image_size": 224, "stem": "imagenet"}
    assert analytic(p_darts, **large)[0] == 3_433_798
    assert analytic(p_darts, auxiliary=True, **large)[0] == 3_910_224
    assert round(analytic(darts, **large)[0] / 1e6, 1) == 3.3
    assert round(analytic(darts, **imagenet)[0] / 1e6, 1) == 4.7
    assert round(analytic(p_darts, **imagenet)[0] / 1e6, 1) == 4.9


def test_flops_of_the_published_labels(labels):
    """They are of the paper's large network, 36 channels and 20 cells, on an image of 16×16."""
    cells, published = labels
    flops = costs(*cells, channels=36, cells=20, image_size=16)[1]
    assert np.array_equal(flops, published)


def test_many_cells_cost_what_one_costs():
    rng = np.random.default_rng(1)
    pairs = [random_cells(rng) for _ in range(30)]
    columns = [np.concatenate(column) for column in zip(*(arrays(*pair) for pair in pairs), strict=True)]
    for kind in (np.uint8, np.int8, np.int64):
        parameters, flops = costs(*(column.astype(kind) for column in columns), cells=5)
        assert parameters.dtype == flops.dtype == np.int64
        assert list(zip(parameters, flops, strict=True)) == [analytic(pair, cells=5) for pair in pairs]
    empty = costs(*(column[:0] for column in columns))
    assert [len(cost) for cost in empty] == [0, 0]


def test_reductions_are_at_a_third_and_two_thirds():
    for cells, expected in ((1, [0]), (2, [0, 1]), (3, [1, 2]), (8, [2, 5]), (14, [4, 9]), (20, [6, 13])):
        plans = plan_cells(16, cells, "cifar", 32)
        assert [i for i, plan in enumerate(plans) if plan.reduction] == expected
        assert plans[-1].channels == 16 * 2 ** len(expected)
        assert plans[-1].output_size == 32 // 2 ** len(expected)


def test_a_cell_adds_and_concatenates_as_drawn():
    plan = CellPlan(reduction=False, after_reduction=False, before_previous=3, previous=5, channels=4, size=6)
    cell = Cell([("skip_connect", node) for node in (0, 1, 2, 1, 3, 0, 4, 2)], plan).eval()
    older, newer = torch.randn(2, 3, 6, 6), torch.randn(2, 5, 6, 6)
    zero, one = cell.preprocess[0](older), cell.preprocess[1](newer)
    two = zero + one
    three = two + one
    four = three + zero
    five = four + two
    torch.testing.assert_close(cell(older, newer, 0.0), torch.cat([two, three, four, five], dim=1))


def test_drop_path_drops_branches_of_images_but_no_identity():
    plan = CellPlan(reduction=False, after_reduction=False, before_previous=4, previous=4, channels=4, size=6)
    older, newer = torch.randn(300, 4, 6, 6), torch.randn(300, 4, 6, 6)

    def first_node(names, rate, training=True):
        torch.manual_seed(0)
        cell = Cell([(name, i % 2) for i, name in enumerate(names)], plan).train(training)
        return cell, cell(older, newer, rate)[:, :4]

    skips = ["skip_connect"] * 8
    assert torch.equal(first_node(skips, 0.9)[1], first_node(skips, 0.0)[1])
    pools = ["avg_pool_3x3"] * 8
    assert torch.equal(first_node(pools, 0.9, training=False)[1], first_node(pools, 0.0, training=False)[1])
    cell, output = first_node(pools, 0.25)
    branches = [cell.operations[i](cell.preprocess[i](x)) / 0.75 for i, x in enumerate((older, newer))]
    combinations = torch.stack([a * branches[0] + b * branches[1] for a in (0, 1) for b in (0, 1)])
    distance = (combinations - output).abs().amax(dim=(2, 3, 4))  # (4, B)
    assert distance.min(dim=0).values.max() < 1e-5
    shares = distance.argmin(dim=0).bincount(minlength=4) / 300
    expected = torch.tensor([1 / 16, 3 / 16, 3 / 16, 9 / 16])
    assert (shares - expected).abs().max() < 0.12  # four standard deviations


def test_drop_path_can_be_set_while_training():
    network = build_darts(genotype(DARTS[0]), genotype(DARTS[1]), channels=2, cells=3, drop_path=0.2)
    assert network.drop_path == 0.2
    network.drop_path = 0.2 * 3 / 600
    assert network.drop_path == pytest.approx(0.001)
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="drop_path must be at least 0 and below 1"):
            network.drop_path = rate
    assert network.drop_path == pytest.approx(0.001)


@pytest.mark.parametrize(("stem", "image_size"), [("cifar", 32), ("imagenet", 224)])
def test_the_auxiliary_head_answers_in_training_only(stem, image_size):
    network = build_darts(
        genotype(DARTS[0]), genotype(DARTS[1]), channels=2, cells=3, classes=6, auxiliary=True, stem=stem
    )
    images = torch.randn(2, 3, image_size, image_size)
    logits, auxiliary = network.train()(images)
    assert logits.shape == auxiliary.shape == (2, 6)
    assert network.eval()(images).shape == (2, 6)
    small = torch.randn(2, 3, image_size // 2, image_size // 2)
    assert network(small).shape == (2, 6)
    with pytest.raises(ValueError, match="auxiliary head: needs a feature map of at least"):
        network.train()(small)


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    cells = [genotype(text) for text in P_DARTS]
    network = build_darts(*cells, channels=4, cells=4, classes=4, auxiliary=True, drop_path=0.1)

    def loss_of(output, labels):
        logits, auxiliary = output
        return cross_entropy(logits, labels) + 0.4 * cross_entropy(auxiliary, labels)

    losses = losses_of_training(network, loss_of)
    assert np.mean(losses[-3:]) < 0.7 * losses[0]


def test_a_saved_state_gives_the_same_network():
    cells = random_cells(np.random.default_rng(2))
    network, other = (build_darts(*cells, channels=3, cells=4, auxiliary=True) for _ in range(2))
    images = torch.randn(2, 3, 32, 32)
    network.train()(images)  # running statistics move
    other.load_state_dict(copy.deepcopy(network.state_dict()))
    assert torch.equal(network.eval()(images), other.eval()(images))


def test_layers_are_those_of_the_evaluation_network():
    cells = [[(name, i % 2) for i, name in enumerate([*OPERATIONS, "max_pool_3x3"])]] * 2
    network = on_meta(build_darts, *cells, cells=3)
    normal, reduction = network.cells[0], network.cells[1]
    assert isinstance(normal.operations[2], nn.Identity)
    kinds = [[type(layer) for layer in operation.modules()] for operation in reduction.operations]
    assert nn.BatchNorm2d not in kinds[0] + kinds[1]
    assert [kind.count(nn.Conv2d) for kind in kinds] == [0, 0, 2, 4, 4, 2, 2, 0]
    assert {layer.dilation for layer in reduction.operations[5].modules() if isinstance(layer, nn.Conv2d)} == {
        (1, 1),
        (2, 2),
    }
    pooled = reduction.operations[1](torch.ones(1, 2, 6, 6))
    assert torch.equal(pooled, torch.ones(1, 2, 3, 3))  # the padding does not count in the mean
    assert all(layer.affine for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))


GOOD = [("sep_conv_3x3", 0)] * 8


@pytest.mark.parametrize(
    ("normal", "reduction", "message"),
    [
        (GOOD[:7], GOOD, "normal cell: expected 8 entries .*, got 7"),
        (GOOD, [*GOOD[:3], ("none", 0), *GOOD[4:]], "reduction cell, entry 3: unknown operation 'none'"),
        ([("skip_connect", 2), *GOOD[1:]], GOOD, "normal cell, entry 0: input must be 0 to 1, not 2"),
        ([("skip_connect", -1), *GOOD[1:]], GOOD, "normal cell, entry 0: input must be 0 to 1, not -1"),
        (
            [("skip_connect", 0.5), *GOOD[1:]],
            GOOD,
            r"entry 0: expected \(operation, input\), got \('skip_connect', 0.5\)",
        ),
        ([3, *GOOD[1:]], GOOD, r"entry 0: expected \(operation, input\), got 3"),
    ],
)
def test_wrong_genotypes_are_told_where(normal, reduction, message):
    with pytest.raises(ValueError, match=message):
        build_darts(normal, reduction)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "channels must be an integer of at least 1, not 0"),
        ({"cells": 2.5}, "cells must be an integer of at least 1, not 2.5"),
        ({"classes": -1}, "classes must be"),
        ({"stem": "svhn"}, "stem must be 'cifar' or 'imagenet', not 'svhn'"),
        ({"stem": "imagenet", "channels": 1}, "channels must be at least 2 with the ImageNet stem"),
    ],
)
def test_wrong_settings_are_refused_by_both(arguments, message):
    for function in (lambda **given: build_darts(GOOD, GOOD, **given), lambda **given: analytic((GOOD, GOOD), **given)):
        with pytest.raises(ValueError, match=message):
            function(**arguments)


def test_wrong_arrays_are_told_where():
    zeros = np.zeros((3, 8), dtype=np.int8)
    for position, name in enumerate(("normal operations", "normal inputs", "reduction operations", "reduction inputs")):
        for value in (7, -1):
            arguments = [zeros] * 4
            arguments[position] = zeros.copy()
            arguments[position][2, 1] = value
            limit = 1 if "inputs" in name else 6
            with pytest.raises(ValueError, match=f"{name}, row 2, entry 1: expected 0 to {limit}, got {value}"):
                costs(*arguments)
    with pytest.raises(ValueError, match=r"normal inputs: expected integers \(N, 8\), got float64 \(3, 8\)"):
        costs(zeros, zeros.astype(float), zeros, zeros)
    with pytest.raises(ValueError, match=r"reduction inputs: expected integers \(N, 8\), got int8 \(3, 7\)"):
        costs(zeros, zeros, zeros, zeros[:, :7])
    with pytest.raises(ValueError, match="expected arrays of the same length, got 3, 3, 2 and 3"):
        costs(zeros, zeros, zeros[:2], zeros)
    with pytest.raises(ValueError, match="needs a feature map of at least 8×8 after 2/3 of the cells, here it is 4×4"):
        costs(zeros, zeros, zeros, zeros, image_size=16, auxiliary=True)
