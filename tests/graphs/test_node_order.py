"""The canonical adjacency: the same for all drawings, another for each other architecture."""

import numpy as np
import pytest

from cate_hf import Architecture, get_space
from cate_hf.experiments._geometry import redraw
from cate_hf.graphs._node_order import canonical_wiring


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "darts"])
def test_drawings_have_one_vector_and_architectures_their_own(name):
    space = get_space(name)
    table = space.sample(300, seed=1)
    rng = np.random.default_rng(0)
    drawn = space.table([redraw(cell, space.num_inputs, rng) for cell in table])
    first, second = (canonical_wiring(t.widen(space.max_nodes), space.num_inputs) for t in (table, drawn))
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first, axis=0)) == len(set(space.hash_many(table).tolist()))


def test_columns_by_hand():
    space = get_space("nasbench101")
    cell = Architecture(
        ["input", "maxpool3x3", "conv3x3-bn-relu", "output"],
        [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
    )
    (vector,) = canonical_wiring(space.table([cell]).widen(7), 1)
    edges = dict(zip(zip(*np.triu_indices(7, 1), strict=True), vector[:21], strict=True))
    assert {edge for edge, there in edges.items() if there} == {(0, 1), (0, 2), (1, 6), (2, 6)}
    names = space.vocabulary[1:-1]
    places = vector[21:].reshape(5, 3)
    assert [names[row.argmax()] if row.any() else None for row in places] == [
        "conv3x3-bn-relu",  # before the pooling, by the vocabulary's order, at equal depths
        "maxpool3x3",
        None,
        None,
        None,
    ]


def test_equal_nodes_that_only_marking_tells_apart():
    """Two rings of three equal pairs, against one ring of six: colours alone see the same neighbourhoods."""
    space = get_space("darts")
    size = 14
    names = ["c_{k-2}", "c_{k-1}", *["sep_conv_3x3"] * 6, *["dil_conv_3x3"] * 5, "output"]
    rng = np.random.default_rng(3)
    matrix = np.zeros((size, size), np.uint8)
    matrix[0, 2:8] = matrix[8:13, 13] = 1
    for first in range(2, 8):
        matrix[first, 8 + (first - 2) % 5] = matrix[first, 8 + (first - 1) % 5] = 1
    cell = Architecture(names, matrix)
    vectors = []
    for drawing in (cell, redraw(cell, 2, rng), redraw(cell, 2, rng)):
        from cate_hf import ArchitectureTable

        table = ArchitectureTable.from_architectures([drawing], space.vocabulary)
        vectors.append(canonical_wiring(table, 2)[0])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])
