"""How many architectures share a vector with one that is not isomorphic, as the encodings' docstrings say."""

import inspect

import numpy as np
import pytest

from cate_hf.encodings import get_encoding
from tests.encodings.conftest import encoding_of, space_of

CHUNK = 40_000
NASBENCH101 = {  # encoding: different vectors, cells that share theirs, cells of the most common vector
    "adjacency": (423_624, 0, 1),
    "adjacency-categorical": (423_624, 0, 1),
    "adjacency-continuous": (423_624, 0, 1),
    "path": (170_820, 323_945, 301),
    "path-categorical": (170_820, 323_945, 301),
    "path-continuous": (170_820, 323_945, 301),
    "path-truncated": (30_808, 409_965, 3_160),
    "path-categorical-truncated": (30_808, 409_965, 3_160),
    "path-continuous-truncated": (30_808, 409_965, 3_160),
    "parameters": (3_336, 423_414, 9_990),
    "random": (423_624, 0, 1),
}


def collisions(encoding, table):
    """By 64 bits of each vector's bytes: of 423,624 vectors two are confused once in 10^8 times."""
    odd = np.random.default_rng(0).integers(0, 2**64, encoding.dim, dtype=np.uint64) | np.uint64(1)
    keys = [
        (encoding.transform(table[first : first + CHUNK]).view(np.uint32) * odd).sum(axis=1, dtype=np.uint64)
        for first in range(0, len(table), CHUNK)
    ]
    _, counts = np.unique(np.concatenate(keys), return_counts=True)
    return len(counts), int(counts[counts > 1].sum()), int(counts.max())


@pytest.mark.long
@pytest.mark.parametrize("name", NASBENCH101)
def test_all_cells_of_nasbench101(name):
    encoding = encoding_of(name, "nasbench101")
    assert collisions(encoding, space_of("nasbench101").pool()) == NASBENCH101[name]
    shared = NASBENCH101[name][1]
    documented = inspect.getdoc(type(encoding))
    assert (f"{shared:,}" if shared else "Nothing is lost") in documented


@pytest.mark.parametrize(("name", "distinct", "shared"), [("path", 8045, 1120), ("path-truncated", 685, 8765)])
def test_all_graphs_of_nasbench201(name, distinct, shared):
    encoding = get_encoding(name, "nasbench201")
    table = space_of("nasbench201").pool()
    vectors = encoding.transform(table)
    _, counts = np.unique(vectors, axis=0, return_counts=True)
    assert (len(counts), counts[counts > 1].sum()) == (distinct, shared)
    assert collisions(encoding, table)[:2] == (distinct, shared)
