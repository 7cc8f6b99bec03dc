import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, get_space
from cate_hf.benchmarks import load_benchmark
from cate_hf.spaces import space_names

SPACE = get_space("nasbench101")
CONV3, CONV1, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"


@pytest.fixture(scope="module")
def cells():
    return SPACE.enumerate()


def chain(*operations, skip=False):
    size = len(operations) + 2
    adjacency = np.eye(size, k=1, dtype=int)
    adjacency[0, -1] |= skip
    return Architecture(["input", *operations, "output"], adjacency)


def test_every_cell_once(cells):
    assert np.bincount(cells.num_nodes).tolist() == [0, 0, 1, 6, 84, 2_441, 62_010, 359_082]
    assert len(cells) == SPACE.size == 423_624
    hashes = cells.columns["hash"]
    assert (hashes[1:] > hashes[:-1]).all()
    assert cells.adjacency().sum((1, 2)).max() == 9
    assert hashes.dtype == "<U32"
    assert cells.nbytes - hashes.nbytes < 12e6


def test_published_costs(cells):
    parameters = cells.columns["parameters"]
    assert (parameters.min(), parameters.max()) == (227_274, 49_979_274)
    best = np.flatnonzero(cells.columns["hash"] == "02e5a0247bbdcf2860b7e96f74961594")
    assert parameters[best].tolist() == [32_426_634]
    cell = cells[int(best[0])]
    assert SPACE.hash(cell) == "02e5a0247bbdcf2860b7e96f74961594"
    assert SPACE.parameters(cell) == 32_426_634


def test_hashes_and_parameters_of_the_published_table(cells, nasbench101_table):
    bench = load_benchmark("nasbench101", nasbench101_table)
    assert np.array_equal(bench.hashes, cells.columns["hash"])
    assert np.array_equal(bench.query_many(cells, "parameters"), cells.columns["parameters"])


def test_costs_of_one_convolution_by_hand():
    parameters, flops = 3 * 9 * 128 + 2 * 128, 32 * 32 * 3 * 9 * 128  # the stem
    source = 128
    for stack in range(3):
        channels, pixels = 128 << stack, (32 >> stack) ** 2
        for _ in range(3):
            for weights in (source * channels, 9 * channels * channels):  # projection, then the convolution
                parameters += weights + 2 * channels
                flops += pixels * weights
            source = channels
    cell = chain(CONV3)
    assert SPACE.parameters(cell) == parameters + 512 * 10 + 10
    assert SPACE.flops(cell) == flops + 512 * 10


def test_one_hash_for_all_drawings_and_dead_ends():
    one = Architecture(["input", CONV3, POOL, "output"], [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4])
    other = Architecture(["input", POOL, CONV3, "output"], [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4])
    dead = Architecture(
        ["input", CONV3, POOL, CONV1, "output"],
        [[0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0] * 5, [0] * 5],
    )
    assert SPACE.hash(one) == SPACE.hash(other) == SPACE.hash(dead)
    assert SPACE.validate(dead).num_nodes == 4


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (chain("conv5x5"), "node 1: unknown operation 'conv5x5'"),
        (chain("output"), "node 1: 'output' must be the last node"),
        (chain("input"), "node 1: 'input' must be the first node"),
        (Architecture([CONV3, "output"], [[0, 1], [0, 0]]), "node 0: expected 'input'"),
        (Architecture(["input", CONV3], [[0, 1], [0, 0]]), "node 1: expected 'output'"),
        (Architecture(["input", CONV3, "output"], [[0, 1, 0], [0] * 3, [0] * 3]), "no path"),
        (chain(*[CONV3] * 6), "8 nodes; a nasbench101 architecture has at most 7"),
        (Architecture(["input", *[POOL] * 4, "output"], np.triu(np.ones((6, 6), int), 1)), "15 edges; .* at most 9"),
    ],
)
def test_what_is_not_of_the_space_is_told_why(cell, message):
    assert not SPACE.is_valid(cell)
    with pytest.raises(ValueError, match=message):
        SPACE.hash(cell)


def test_sample_is_uniform_without_repetition_and_by_seed(cells):
    sample = SPACE.sample(20_000, seed=3)
    assert len(np.unique(sample.columns["hash"])) == 20_000
    assert np.array_equal(sample.columns["hash"], SPACE.sample(20_000, seed=3).columns["hash"])
    assert not np.array_equal(sample.columns["hash"], SPACE.sample(20_000, seed=4).columns["hash"])
    share = (sample.num_nodes == 7).mean()
    assert share == pytest.approx(359_082 / 423_624, abs=0.013)  # 5 standard deviations
    with pytest.raises(ValueError, match="n must be 0 or more"):
        SPACE.sample(-1, seed=0)


@settings(deadline=None, max_examples=25)
@given(row=st.integers(0, 423_623))
def test_neighbours_are_one_step_away_and_mutual(cells, row):
    cell = cells[row]
    neighbours = SPACE.neighbours(cell)
    hashes = neighbours.columns["hash"]
    assert len(np.unique(hashes)) == len(hashes) > 0
    assert SPACE.hash(cell) not in hashes
    for i, neighbour in enumerate(neighbours):
        assert SPACE.is_valid(neighbour)
        assert SPACE.hash(neighbour) == hashes[i]
        if neighbour.num_nodes == cell.num_nodes:  # nothing was pruned away
            assert cell.edit_distance(neighbour) == 1


def test_wrong_hashes_are_found(cells):
    part = cells[:50]
    SPACE.check_hashes(part, "x.parquet")
    hashes = part.columns["hash"].copy()
    hashes[7] = "0" * 32
    with pytest.raises(ValueError, match=r"x.parquet, row 7: hash is '0{32}', its architecture has"):
        SPACE.check_hashes(part.with_columns(hash=hashes), "x.parquet")


def test_names():
    assert "nasbench101" in space_names()
    with pytest.raises(ValueError, match="did you mean 'nasbench101'"):
        get_space("nasbench-101")
    with pytest.raises(ValueError, match="unknown cost 'latency'; nasbench101 has parameters, flops"):
        SPACE.costs(SPACE.sample(2, 0), "latency")
