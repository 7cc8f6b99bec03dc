import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, ArchitectureTable, get_space
from cate_hf.data.pairs import make_pairs
from cate_hf.graphs import read_parquet, write_parquet
from cate_hf.spaces.darts import genotypes as darts_genotypes
from cate_hf.spaces.darts.genotypes import OPERATIONS, CellPair
from tests.darts_cells import SECOND_ORDER, genotypes, redrawings
from tests.spaces.counting import counted_flops, counted_parameters, on_meta
from tests.tiny import tiny_model

SPACE = get_space("darts")
PAIR = SPACE.parse_pair(SECOND_ORDER)
CELL = PAIR.normal


def changed(operations=(), edges=(), cell=CELL) -> Architecture:
    """The cell with operations {node: name} replaced and edges (x, y) added, or removed where they were."""
    names, adjacency = list(cell.operations), cell.adjacency.copy()
    for node, name in dict(operations).items():
        names[node] = name
    for x, y in edges:
        adjacency[x, y] ^= 1
    return Architecture(names, adjacency)


def redrawn(table: ArchitectureTable) -> ArchitectureTable:
    """The same cells with the inner nodes renumbered: operations first wherever they may."""
    cells = []
    for cell in table:
        depth = np.zeros(15, int)
        for node in range(2, 15):
            depth[node] = 1 + depth[np.flatnonzero(cell.adjacency[:, node])].max()
        order = [0, 1, *sorted(range(2, 14), key=lambda node, depth=depth: (depth[node], -node)), 14]
        cells.append(Architecture([cell.operations[n] for n in order], cell.adjacency[np.ix_(order, order)]))
    return SPACE.table(cells)


@pytest.fixture(scope="module")
def sample():
    return SPACE.sample(20_000, seed=3)


def test_what_the_space_says_of_itself():
    assert (SPACE.num_inputs, SPACE.max_nodes, SPACE.max_edges, SPACE.size) == (2, 15, 20, None)
    assert SPACE.vocabulary == ("c_{k-2}", "c_{k-1}", *OPERATIONS, "sum", "output")
    assert SPACE.pairing == {"cost": "flops", "window": 5_000_000, "partners": 1}
    with pytest.raises(ValueError, match="darts is too large to be listed whole"):
        SPACE.enumerate()


@settings(deadline=None, max_examples=60)
@given(data=st.data(), cell=genotypes())
def test_any_drawing_comes_to_the_standard_layout(data, cell):
    architecture = SPACE.from_genotype(cell)
    drawn = data.draw(redrawings(architecture))
    valid = SPACE.validate(drawn)
    assert valid.is_isomorphic(architecture)
    assert SPACE.from_genotype(SPACE.genotype(valid)) == valid  # which is the standard layout
    assert SPACE.validate(valid) == valid
    assert SPACE.hash(drawn) == SPACE.hash(architecture)
    assert SPACE.hash_many(SPACE.table([drawn, architecture])).tolist() == [SPACE.hash(drawn)] * 2
    assert SPACE.flops(drawn) == SPACE.flops(architecture)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), cell=genotypes(operations=("skip_connect", "sep_conv_3x3")))
def test_hashes_are_equal_exactly_for_isomorphic_cells(data, cell):
    architecture = SPACE.from_genotype(cell)
    other = data.draw(redrawings(architecture))
    if data.draw(st.booleans()):  # a near one
        neighbours = SPACE.neighbours(other)
        other = data.draw(redrawings(neighbours[data.draw(st.integers(0, len(neighbours) - 1))]))
        neighbours = SPACE.neighbours(other)
        other = neighbours[data.draw(st.integers(0, len(neighbours) - 1))]
    assert (SPACE.hash(other) == SPACE.hash(architecture)) == other.is_isomorphic(architecture)


def test_an_unused_input_and_dead_nodes():
    unused = SPACE.from_genotype([*[("skip_connect", 1), ("skip_connect", 0)] * 4])
    assert SPACE.validate(unused) == unused
    only_newer = [("skip_connect", value) for value in (0, 1, 1, 2, 2, 3, 3, 4)]
    with_dead = SPACE.from_genotype(only_newer)
    names = [*with_dead.operations[:2], "sep_conv_3x3", *with_dead.operations[2:]]
    adjacency = np.insert(np.insert(with_dead.adjacency, 2, 0, axis=0), 2, 0, axis=1)
    adjacency[0, 2] = 1
    assert SPACE.validate(Architecture(names, adjacency)) == with_dead


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (changed({4: "output"}), "node 4: 'output' must be the last node of a darts architecture"),
        (changed({1: "c_{k-2}"}), "node 1: expected 'c_{k-1}', got 'c_{k-2}'"),
        (changed({4: "skip_connect"}, [(4, 14), (4, 7)]), "3 sums and 9 operations; a darts cell has 4 and 8"),
        (changed({}, [(0, 2)]), "node 2 .* reads 2 nodes; an operation reads one"),
        (changed({}, [(0, 1)]), "node 1 .* reads node 0"),
        (changed({}, [(0, 4)]), r"node 4 \(sum\) adds c_{k-2}, sep_conv_3x3, sep_conv_3x3; a sum adds two operations"),
        (changed({}, [(5, 7), (5, 10)]), r"node 7 \(sum\) adds sep_conv_3x3; a sum adds"),
        (changed({}, [(4, 14)]), "node 4 .* does not feed the output"),
        (changed({}, [(5, 14)]), r"node 5 \(sep_conv_3x3\) feeds node 7 \(sum\), node 14 \(output\)"),
        (changed({}, [(0, 14)]), r"the output reads node 0 \(c_{k-2}\); it reads the four sums only"),
        (changed({}, [(1, 5), (4, 5)]), None),
        (changed({}, [(1, 5), (0, 5)]), r"node 7 \(sum\): both operations read node 0 \(c_{k-2}\)"),
        (changed({}, [(1, 5), (2, 5), (2, 4)]), r"node 2 \(sep_conv_3x3\) feeds node 5 \(sep_conv_3x3\)"),
        (changed({}, [(2, 4), (5, 7), (2, 7)]), "14 nodes, .* a darts cell has 15: two inputs, 8 operations, 4 sums"),
        (Architecture(["c_{k-2}", "c_{k-1}", "output"], [[0, 0, 1], [0, 0, 1], [0] * 3]), "3 nodes, "),
        (Architecture(["c_{k-2}", "c_{k-1}", "output"], [[0] * 3] * 3), "no path from the inputs"),
    ],
)
def test_what_is_not_of_the_space_is_told_why(cell, message):
    if message is None:
        assert SPACE.is_valid(cell)
        return
    message = message.replace("{", r"\{")
    assert not SPACE.is_valid(cell)
    for use in (SPACE.validate, SPACE.hash, SPACE.neighbours, SPACE.build):
        with pytest.raises(ValueError, match=message):
            use(cell)
    with pytest.raises(ValueError, match=f"x.parquet, row 1: .*{message}"):
        SPACE.validate_many(SPACE.table([CELL, cell]), "x.parquet")
    with pytest.raises(ValueError, match=f"reduction cell: .*{message}"):
        SPACE.hash(CellPair(CELL, cell))


@settings(deadline=None, max_examples=200)
@given(data=st.data(), cell=genotypes())
def test_a_mutated_cell_is_a_cell_or_refused_with_the_reason(data, cell):
    architecture = SPACE.from_genotype(cell)
    nodes = st.integers(0, 14)
    edges = data.draw(st.lists(st.tuples(nodes, nodes).map(sorted).filter(lambda e: e[0] < e[1]), max_size=3))
    renamed = data.draw(st.dictionaries(nodes, st.sampled_from(SPACE.vocabulary), max_size=1))
    mutated = changed(renamed, edges, cell=architecture)
    table, error = SPACE.table([architecture, mutated]), ""
    try:
        valid = SPACE.validate_many(table)
    except ValueError as raised:
        error = str(raised)
    assert error == "" or error.startswith("architectures, row 1: ")
    assert len(error) != len("architectures, row 1: ")
    assert "\n" not in error
    if not error:
        assert valid[1].is_isomorphic(mutated.prune(2))
        assert SPACE.from_genotype(SPACE.genotype(valid[1])) == valid[1]


def test_tables_of_other_drawings(sample):
    part = sample[:300]
    drawn = redrawn(part)
    assert sum(a != b for a, b in zip(drawn, part, strict=True)) > 290
    mixed = ArchitectureTable.concatenate([part.replace_columns({}), drawn.widen(16)]).with_columns(n=np.arange(600))
    valid = SPACE.validate_many(mixed)
    assert np.array_equal(valid.columns["n"], np.arange(600))
    assert np.array_equal(SPACE.hash_many(valid), np.tile(part.columns["hash"], 2))
    darts_genotypes.from_table(valid)  # all of them in the standard layout
    assert list(valid[:300]) == list(part)
    assert list(valid[300:]) == [SPACE.validate(cell) for cell in drawn]
    assert np.array_equal(SPACE.parameters_many(drawn), part.columns["parameters"])
    assert SPACE.validate_many(part) is part
    SPACE.check_hashes(drawn.with_columns(hash=part.columns["hash"]), "x")


def test_sample_is_unique_and_by_seed(sample):
    hashes = sample.columns["hash"]
    assert len(np.unique(hashes)) == 20_000
    again = SPACE.sample(20_000, seed=3)
    for name in ("operation_codes", "edge_bits"):
        assert np.array_equal(getattr(again, name), getattr(sample, name))
    assert len(np.intersect1d(SPACE.sample(20_000, seed=4).columns["hash"], hashes)) < 20
    assert np.array_equal(SPACE.hash_many(sample), hashes)
    assert len(SPACE.sample(0, seed=0)) == 0


def test_genotypes_are_drawn_uniformly(sample):
    operations, inputs = darts_genotypes.from_table(sample)
    operation_share = np.stack([(operations == code).mean(axis=0) for code in range(7)])
    assert operation_share == pytest.approx(np.full((7, 8), 1 / 7), abs=5 * np.sqrt(6 / 49 / 20_000))
    for node in range(4):
        pairs = np.sort(inputs[:, 2 * node : 2 * node + 2], axis=1) @ [10, 1]
        found, counts = np.unique(pairs, return_counts=True)
        number = (1, 3, 6, 10)[node]
        assert len(found) == number
        assert counts / 20_000 == pytest.approx(np.full(number, 1 / number), abs=5 / np.sqrt(4 * 20_000))


@pytest.mark.long
def test_the_pool_its_cache_and_its_pairs(monkeypatch, tmp_path):
    monkeypatch.setenv("CATE_HF_CACHE", str(tmp_path))
    pool = SPACE.pool()
    hashes, flops = pool.columns["hash"], pool.columns["flops"]
    assert len(pool) == 1_000_000
    assert (hashes[1:] > hashes[:-1]).all()
    assert pool.nbytes - hashes.nbytes < 68e6
    monkeypatch.setattr(SPACE, "sample", None)  # the second comes from the cache
    again = SPACE.pool()
    assert np.array_equal(again.edge_bits, pool.edge_bits)
    assert np.array_equal(again.operation_codes, pool.operation_codes)
    assert np.array_equal(again.columns["flops"], flops)
    pairs = make_pairs(flops, SPACE.pairing["window"], SPACE.pairing["partners"], seed=0)
    gaps = flops[pairs[:, 0]] - flops[pairs[:, 1]]
    assert 0 <= gaps.min() <= gaps.max() <= 5_000_000
    assert 999_900 < len(pairs) < 1_000_000
    assert len(np.unique(pairs[:, 0])) == len(pairs)


def test_costs_are_those_of_built_networks():
    settings = {"channels": 12, "cells": 6, "classes": 7, "auxiliary": True}
    for architecture in (CELL, PAIR, CellPair(PAIR.reduction, PAIR.normal)):
        for sizes in ({}, settings, {"channels": 8, "cells": 4, "stem": "imagenet", "classes": 100}):
            image_size = 64 if "stem" in sizes else 32
            network = on_meta(SPACE.build, architecture, **sizes)
            assert counted_parameters(network) == SPACE.parameters(architecture, **sizes)
            assert counted_flops(network, image_size) == SPACE.flops(architecture, image_size=image_size, **sizes)
    assert SPACE.build(PAIR, drop_path=0.25).drop_path == 0.25


def test_published_parameters():
    # What the code of Liu et al. prints for the second-order cells: 3.349342 M on CIFAR-10, 4.7 M on ImageNet.
    assert SPACE.parameters(PAIR, channels=36, cells=20) == 3_349_342
    imagenet = SPACE.parameters(PAIR, channels=48, cells=14, classes=1000, stem="imagenet")
    assert round(imagenet / 1e6, 1) == 4.7


def test_costs_of_many(sample):
    part = sample[:50]
    reductions = sample[50:100]
    for sizes in ({}, {"channels": 16, "cells": 20, "classes": 100, "auxiliary": True}):
        parameters, flops = SPACE.costs_of(part, reductions, **sizes)
        for row in (0, 49):
            pair = CellPair(part[row], reductions[row])
            assert (parameters[row], flops[row]) == (SPACE.parameters(pair, **sizes), SPACE.flops(pair, **sizes))
    alone = SPACE.costs_of(part)
    assert np.array_equal(alone[0], part.columns["parameters"])
    assert np.array_equal(alone[1], part.columns["flops"])
    assert SPACE.flops(part[7]) == SPACE.flops(CellPair(part[7], part[7])) == part.columns["flops"][7]
    with pytest.raises(ValueError, match="channels must be an integer of at least 1, not 0"):
        SPACE.costs_of(part, channels=0)
    with pytest.raises(ValueError, match="same length"):
        SPACE.costs_of(part, reductions[:3])


def test_a_hash_is_the_digest_of_the_canonical_genotype(sample):
    # The second-order normal cell has two nodes A of separable convolutions of both inputs, C that reads them too, and
    # D that reads c_{k-2} and A. Last nodes count most, so low pairs of inputs and low operations go there: A D A C.
    text = "darts:" + "0313" + "0225" + "0313" + "0213"  # input and operation code of each entry
    assert SPACE.hash(CELL) == hashlib.md5(text.encode()).hexdigest()
    part = sample[:500]
    assert [SPACE.hash(cell) for cell in part] == part.columns["hash"].tolist()


def test_pairs_of_cells_have_hashes():
    reverse = CellPair(PAIR.reduction, PAIR.normal)
    assert len({SPACE.hash(PAIR), SPACE.hash(reverse), SPACE.hash(PAIR.normal), SPACE.hash(PAIR.reduction)}) == 4
    other = redrawn(SPACE.table([PAIR.normal, PAIR.reduction]))
    assert SPACE.hash(CellPair(*other)) == SPACE.hash(PAIR)
    assert SPACE.hash(CellPair(PAIR.normal, other[0])) == SPACE.hash(PAIR.normal)
    assert SPACE.validate(CellPair(*other)) == CellPair(*SPACE.validate_many(other))
    assert SPACE.pair(CELL) == CellPair(CELL, CELL)


@settings(deadline=None, max_examples=40)
@given(data=st.data(), cell=genotypes())
def test_neighbours_are_one_step_away_and_mutual(data, cell):
    architecture = SPACE.from_genotype(cell)
    neighbours = SPACE.neighbours(architecture)
    hashes = neighbours.columns["hash"]
    assert np.array_equal(SPACE.hash_many(neighbours), hashes)
    assert len(np.unique(hashes)) == len(hashes)
    assert SPACE.hash(architecture) not in hashes
    assert sorted(hashes) == sorted(SPACE.neighbours(data.draw(redrawings(architecture))).columns["hash"])
    near = neighbours[data.draw(st.integers(0, len(neighbours) - 1))]
    assert SPACE.hash(architecture) in SPACE.neighbours(near).columns["hash"]
    # Every change of one entry as it is drawn is among them.
    expected = []
    for i, (name, value) in enumerate(cell):
        others = [(other, value) for other in OPERATIONS if other != name]
        others += [(name, other) for other in range(2 + i // 2) if other not in (value, cell[i ^ 1][1])]
        for entry in others:
            expected.append(SPACE.from_genotype([*cell[:i], entry, *cell[i + 1 :]]))
    expected = set(SPACE.hash_many(SPACE.table(expected)))
    assert expected - {SPACE.hash(architecture)} <= set(hashes.tolist())


def test_unknown_operations_are_told():
    cell = changed({2: "conv_1x1"})
    with pytest.raises(ValueError, match="node 2: unknown operation 'conv_1x1', known are"):
        SPACE.validate(cell)
    with pytest.raises(ValueError, match="x.csv, row 1: node 2: unknown operation 'conv_1x1'"):
        SPACE.validate_many(ArchitectureTable.from_architectures([CELL, cell]), "x.csv")


def test_tables_in_files(sample, tmp_path):
    part = sample[:1_000]
    for packed in (False, True):
        write_parquet(part, tmp_path / f"{packed}.parquet", packed=packed)
        read = read_parquet(tmp_path / f"{packed}.parquet", SPACE.vocabulary)
        assert np.array_equal(read.edge_bits, part.edge_bits)
        assert np.array_equal(read.operation_codes, part.operation_codes)
        assert np.array_equal(read.columns["flops"], part.columns["flops"])
        SPACE.check_hashes(read, "x")


def test_a_model_encodes_cells_however_they_are_drawn(sample):
    from cate_hf import CateModel, CateTokenizer
    from cate_hf.encodings.cate import Encoder

    model = tiny_model("darts", CateModel)
    encoder = Encoder(model, CateTokenizer.from_config(model.config), device="cpu")
    assert encoder.search_space is SPACE
    part = sample[:1_000]
    encodings = encoder.encode(part)
    assert encodings.shape == (1_000, 16)
    assert len(np.unique(encodings.round(5), axis=0)) > 990
    np.testing.assert_allclose(encoder.encode(redrawn(part[:100])), encodings[:100], atol=1e-5)
