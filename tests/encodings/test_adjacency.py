"""Vectors and distances of the adjacency encodings, against one architecture at a time."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, get_space
from cate_hf.encodings import get_encoding
from tests.encodings.conftest import encoding_of, slow_adjacency, space_of
from tests.strategies import architectures

FORMS = ["adjacency", "adjacency-categorical", "adjacency-continuous"]
SPACES = ["nasbench101", "nasbench201", "darts", "two-inputs", "tiny", "chain"]


def slow_vector(form, space, architecture):
    edges, operations = slow_adjacency(space, architecture)
    positions, kinds = space.max_nodes - space.num_inputs - 1, len(space.vocabulary) - space.num_inputs - 1
    there = [number for number, is_there in edges.items() if is_there]
    if form == "adjacency-categorical":
        numbers = [(number + 1) / len(edges) for number in there]
        numbers += [0.0] * (space.max_edges - len(numbers))
        return [*numbers, *((operations[p] + 1) / kinds if p in operations else 0.0 for p in range(positions))]
    vector = [float(is_there) for is_there in edges.values()]
    vector += [float(operations.get(p) == kind) for p in range(positions) for kind in range(kinds)]
    return vector + [len(there) / space.max_edges] * (form == "adjacency-continuous")


def test_by_hand():
    space = get_space("nasbench101")
    cell = Architecture(
        ["input", "conv3x3-bn-relu", "maxpool3x3", "output"], [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4]
    )
    edges = [(x, y) for x in range(7) for y in range(x + 1, 7)]
    numbers = [edges.index(edge) for edge in [(0, 1), (0, 6), (1, 2), (2, 6)]]
    one_hot = get_encoding("adjacency", "nasbench101").transform(space.table([cell]))[0]
    assert np.flatnonzero(one_hot[:21]).tolist() == numbers
    assert np.flatnonzero(one_hot[21:]).tolist() == [1, 5]  # conv1x1, conv3x3, maxpool of each position
    categorical = get_encoding("adjacency-categorical", "nasbench101").transform([cell])[0]
    np.testing.assert_allclose(categorical[:9] * 21, [*(n + 1 for n in numbers), 0, 0, 0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(categorical[9:] * 3, [2, 3, 0, 0, 0], atol=1e-6)
    continuous = get_encoding("adjacency-continuous", "nasbench101").transform([cell])[0]
    np.testing.assert_array_equal(continuous[:-1], one_hot)
    assert continuous[-1] == np.float32(4 / 9)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("form", FORMS)
def test_every_row_is_that_of_the_slow_form(form, space, rng):
    encoding, pool = encoding_of(form, space), space_of(space).pool()
    table = pool[rng.integers(len(pool), size=40)]
    vectors = encoding.transform(table)
    assert (vectors.shape, vectors.dtype) == ((40, encoding.dim), np.float32)
    expected = [slow_vector(form, encoding.space, architecture) for architecture in table]
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)
    assert encoding.transform(table[:0]).shape == (0, encoding.dim)


def without_dead_nodes(cell):
    if cell.closure()[0, -1]:
        return cell.prune()
    return Architecture([cell.operations[0], cell.operations[-1]], np.zeros((2, 2), int))


@settings(deadline=None, max_examples=60)
@given(cell=architectures(), form=st.sampled_from(FORMS))
def test_any_cell(cell, form):
    space = get_space("nasbench101")
    assume(cell.num_edges <= space.max_edges)
    cell = without_dead_nodes(cell)
    np.testing.assert_allclose(encoding_of(form, "nasbench101").transform([cell])[0], slow_vector(form, space, cell))


@settings(deadline=None, max_examples=40)
@given(cells=st.lists(architectures(), min_size=1, max_size=6), form=st.sampled_from(FORMS))
def test_distance_counts_edges_and_operations_that_differ(cells, form):
    space = get_space("nasbench101")
    cells = [cell for cell in cells if cell.num_edges <= space.max_edges]
    assume(cells)
    encoding = encoding_of(form, "nasbench101")
    vectors = encoding.transform(cells)
    cells = [without_dead_nodes(cell) for cell in cells]
    distances = encoding.distance(vectors, vectors[:3])
    assert distances.dtype == np.float64
    for i, a in enumerate(cells):
        for j, b in enumerate(cells[:3]):
            (edges_a, operations_a), (edges_b, operations_b) = (slow_adjacency(space, cell) for cell in (a, b))
            expected = sum(edges_a[number] != edges_b[number] for number in edges_a)
            expected += sum(operations_a.get(p) != operations_b.get(p) for p in range(5))
            expected += abs(a.num_edges - b.num_edges) * (form == "adjacency-continuous")
            assert distances[i, j] == pytest.approx(expected, abs=1e-5)


def test_too_many_nodes_or_edges_and_foreign_operations_name_the_row():
    space = get_space("nasbench101")
    plain = space.example()
    full = Architecture(["input", *["maxpool3x3"] * 5, "output"], np.triu(np.ones((7, 7), int), 1))
    long = Architecture(["input", *["maxpool3x3"] * 6, "output"], np.eye(8, k=1, dtype=int))
    foreign = Architecture(["input", "sep_conv_3x3", "output"], np.eye(3, k=1, dtype=int))
    for form in FORMS:
        encoding = encoding_of(form, "nasbench101")
        with pytest.raises(ValueError, match="row 1: 21 edges; a nasbench101 architecture has at most 9"):
            encoding.transform([plain, full])
        with pytest.raises(ValueError, match="row 2: 8 nodes; a nasbench101 architecture has at most 7"):
            encoding.transform([plain, plain, long])
        with pytest.raises(ValueError, match="row 1: unknown operation 'sep_conv_3x3'"):
            encoding.transform([plain, foreign])
