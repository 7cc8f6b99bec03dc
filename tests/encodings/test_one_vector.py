"""One architecture, one vector: dead nodes and another numbering change nothing, through every entrance."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, ArchitectureTable, get_space, load_encoder
from cate_hf.encodings import get_encoding
from cate_hf.encodings.neighbours import nearest_architectures
from cate_hf.graphs._pruning import prune_many
from cate_hf.hub._layout import checkpoint_names
from cate_hf.spaces.custom import CustomSpace
from tests.strategies import architectures

DEAD = Architecture(
    ["input", "conv3x3-bn-relu", "maxpool3x3", "output"], [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
)
LIVE = Architecture(["input", "conv3x3-bn-relu", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])


def num_inputs(cell: Architecture) -> int:
    return 1 + (cell.operations[1] == "c_{k-1}")


def redrawn(cell: Architecture, rng: np.random.Generator) -> Architecture:
    """The nodes between inputs and output in another topological order."""
    first, size = num_inputs(cell), cell.num_nodes
    left, order = {*range(first, size - 1)}, [*range(first)]
    while left:
        order.append(int(rng.choice([v for v in left if not any(cell.adjacency[u, v] for u in left)])))
        left.remove(order[-1])
    order.append(size - 1)
    return Architecture([cell.operations[v] for v in order], cell.adjacency[np.ix_(order, order)])


def with_dead_node(cell: Architecture, rng: np.random.Generator) -> Architecture:
    """One node more, which something feeds or which feeds something, not both."""
    at, size = int(rng.integers(num_inputs(cell), cell.num_nodes)), cell.num_nodes + 1
    others = [v for v in range(size) if v != at]
    adjacency = np.zeros((size, size), dtype=int)
    adjacency[np.ix_(others, others)] = cell.adjacency
    end = (int(rng.integers(at)), at) if rng.random() < 0.5 else (at, int(rng.integers(at + 1, size)))
    adjacency[end] = 1
    name = [*cell.operations[num_inputs(cell) : -1], "skip_connect"][0]
    return Architecture([*cell.operations[:at], name, *cell.operations[at:]], adjacency)


@settings(max_examples=150, deadline=None)
@given(st.lists(architectures(9), min_size=1, max_size=5))
def test_pruning_a_table_is_pruning_each(cells):
    for table in (ArchitectureTable.from_architectures(cells), ArchitectureTable.from_architectures(cells).widen(12)):
        for cell, pruned in zip(cells, prune_many(table), strict=True):
            if cell.closure()[0, -1]:
                assert pruned == cell.prune()
            else:
                assert pruned == Architecture(["input", "output"], np.zeros((2, 2), int))


def test_what_is_pruned_already_is_the_same_table():
    pool = get_space("nasbench101").sample(500, seed=0)
    assert prune_many(pool) is pool
    darts = get_space("darts").sample(50, seed=0)
    assert prune_many(darts, 2) is darts


@pytest.mark.parametrize("name", checkpoint_names())
def test_drawings_have_one_vector_and_hash(name):
    encoder, rng = load_encoder(name), np.random.default_rng(5)
    space = encoder.search_space
    cells = list(space.sample(40, seed=5))
    expected, hashes = encoder.encode(cells), [space.hash(cell) for cell in cells]
    drawings = {
        "renumbered": [redrawn(cell, rng) for cell in cells],
        "dead": [with_dead_node(cell, rng) for cell in cells],
        "both": [redrawn(with_dead_node(with_dead_node(cell, rng), rng), rng) for cell in cells],
    }
    for kind, drawn in drawings.items():
        for form in (drawn, ArchitectureTable.from_architectures(drawn), [cell.to_dict() for cell in drawn]):
            np.testing.assert_allclose(encoder.encode(form), expected, atol=1e-5, err_msg=kind)
        assert [space.hash(cell) for cell in drawn] == hashes
        assert space.hash_many(space.table(drawn)).tolist() == hashes


@pytest.mark.parametrize("name", ["cate", "structure", "adjacency-onehot", "path", "universal"])
def test_dead_nodes_change_no_encoding_of_any_kind(name):
    encoding = get_encoding(name, "nasbench101")
    np.testing.assert_allclose(*(encoding.transform([cell]) for cell in (DEAD, LIVE)), atol=1e-5)
    if name != "adjacency-onehot":  # it is of the drawing
        cells, rng = list(encoding.space.sample(30, seed=6)), np.random.default_rng(6)
        drawn = [redrawn(with_dead_node(cell, rng), rng) for cell in cells]
        if name == "structure":  # whose costs are those of the drawing
            drawn = [with_dead_node(cell, rng) for cell in cells]
        np.testing.assert_allclose(encoding.transform(drawn), encoding.transform(cells), atol=1e-5)


def test_costs_of_a_table_leave_dead_nodes_out():
    space = get_space("nasbench101")
    table = space.table([DEAD])
    assert space.parameters_many(table)[0] == space.parameters(LIVE)
    assert space.flops_many(table)[0] == space.flops(LIVE)


def test_a_predictor_predicts_one_number():
    from cate_hf import load_predictor

    predictor, rng = load_predictor("nasbench101-accuracy"), np.random.default_rng(7)
    cells = list(predictor.space.sample(20, seed=7))
    drawn = [with_dead_node(cell, rng) for cell in cells]
    table = predictor.space.table(drawn)
    np.testing.assert_allclose(predictor.features(table), predictor.features(predictor.space.table(cells)), atol=1e-5)
    for form in (drawn, table):
        np.testing.assert_allclose(predictor.predict(form)[0], predictor.predict(cells)[0], atol=1e-5)
    np.testing.assert_allclose(*(predictor.top_k(5, t).columns["predicted"] for t in (table, table[::-1])), atol=1e-5)


def test_of_a_space_in_a_file():
    from cate_hf import fit_predictor

    space, rng = CustomSpace.from_file(Path(__file__).parents[2] / "docs" / "enas_like.yaml"), np.random.default_rng(3)
    cells = list(space.sample(30, seed=3))
    drawn = [redrawn(with_dead_node(cell, rng), rng) for cell in cells]
    assert [space.hash(cell) for cell in drawn] == space.hash_many(space.table(cells)).tolist()
    predictor = fit_predictor(cells, np.linspace(0.8, 0.9, 30), space=space, members=0, gp=False)
    vectors = load_encoder("universal")
    for form in (drawn, ArchitectureTable.from_architectures(drawn), [cell.to_dict() for cell in drawn]):
        np.testing.assert_allclose(predictor.predict(form)[0], predictor.predict(cells)[0], atol=1e-6)
        np.testing.assert_allclose(vectors.encode(space.canonical(space.table(form))), vectors.encode(cells), atol=1e-3)


def test_of_pairs_of_cells():
    from cate_hf import fit_predictor
    from cate_hf.spaces.darts.genotypes import CellPair

    space, rng = get_space("darts"), np.random.default_rng(4)
    cells = list(space.sample(60, seed=4))
    pairs = [CellPair(*two) for two in zip(cells[:30], cells[30:], strict=True)]
    drawn = [CellPair(*(redrawn(with_dead_node(cell, rng), rng) for cell in (p.normal, p.reduction))) for p in pairs]
    hashes = space.hash_many(space.pairs(pairs)).tolist()
    assert space.hash_many(space.validate_many(space.pairs(drawn))).tolist() == hashes
    predictor = fit_predictor(pairs, np.linspace(0.8, 0.9, 30), space=space, gp=False)
    np.testing.assert_allclose(predictor.predict(drawn)[0], predictor.predict(pairs)[0], atol=1e-6)


def test_a_search_knows_a_drawing_by_its_hash():
    from cate_hf.search import get_algorithm

    space = get_space("nasbench101")
    optimizer = get_algorithm("random")(space, space.table([DEAD, *space.sample(5, seed=1)]), seed=0)
    assert optimizer.candidates.columns["hash"][0] == space.hash(LIVE)


def test_neighbours_of_a_drawing(tmp_path):
    from cate_hf.encodings.files import encode_to_parquet
    from cate_hf.graphs.io import write_parquet

    write_parquet(get_space("nasbench101").sample(200, seed=2), tmp_path / "cells.parquet")
    encode_to_parquet("nasbench101", tmp_path / "encodings.parquet", input=tmp_path / "cells.parquet")
    found = []
    (tmp_path / "cell.jsonl").write_text(json.dumps(DEAD.to_dict()))
    for given_as in (tmp_path / "cell.jsonl", DEAD, LIVE, DEAD.to_dict(), [LIVE]):
        neighbours = nearest_architectures("nasbench101", input=given_as, encodings=tmp_path / "encodings.parquet")
        found.append(neighbours.found.columns)
    for columns in found[1:]:
        assert columns["hash"].tolist() == found[0]["hash"].tolist()
        np.testing.assert_allclose(columns["distance"], found[0]["distance"], atol=1e-5)


def test_without_the_space_graphs_are_as_drawn_and_that_is_said(tmp_path):
    from tests.tiny import save_tiny

    encoder = load_encoder(save_tiny(tmp_path / "tiny"))
    encoder.model.config.space = "a-space-of-elsewhere"
    with pytest.warns(UserWarning, match="a-space-of-elsewhere is not known here: graphs are encoded as drawn") as told:
        one, other = (encoder.encode(cell) for cell in (DEAD, LIVE))
    assert len(told) == 1
    assert np.abs(one - other).max() > 1e-3
