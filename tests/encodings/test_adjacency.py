import numpy as np
import pytest

from cate_hf import Architecture, get_space
from cate_hf.encodings import get_encoding


def test_adjacency_by_hand():
    space = get_space("nasbench101")
    encoding = get_encoding("adjacency", "nasbench101")
    cell = Architecture(
        ["input", "conv3x3-bn-relu", "maxpool3x3", "output"], [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4]
    )
    vector = encoding.transform(space.table([cell]))[0]
    assert vector.shape == (encoding.dim,) == (36,)
    edges = [(x, y) for x in range(7) for y in range(x + 1, 7)]
    assert [edges[i] for i in np.flatnonzero(vector[:21])] == [(0, 1), (0, 6), (1, 2), (2, 6)]
    assert np.flatnonzero(vector[21:]).tolist() == [1, 5]  # conv1x1, conv3x3, maxpool of each position


def test_no_two_cells_of_the_enumeration_share_a_vector():
    table = get_space("nasbench101").enumerate()
    vectors = get_encoding("adjacency", "nasbench101").transform(table)
    assert vectors.dtype == np.float32
    assert len(np.unique(np.packbits(vectors.astype(bool), axis=1), axis=0)) == len(table)


def test_unknown_name():
    with pytest.raises(ValueError, match="did you mean 'adjacency'"):
        get_encoding("adjacent", "nasbench101")
