import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf.graphs import hashing
from cate_hf.graphs.hashing import cell_hash, cell_hashes, text_hashes
from tests.strategies import architectures, redrawings

relaxed = settings(deadline=None, max_examples=60)

LABELS = {"input": -1, "output": -2, "conv3x3-bn-relu": 0, "conv1x1-bn-relu": 1, "maxpool3x3": 2}


@pytest.fixture(scope="module", params=[0, 1024], ids=["compiled", "one by one"])
def few(request):
    """Whether a few cells are hashed by compiled functions, as many are, or one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_FEW", request.param)
        yield


def labels_of(arch):
    return [LABELS[name] for name in arch.operations]


def as_arrays(archs):
    size = max(arch.num_nodes for arch in archs)
    adjacency = np.zeros((len(archs), size, size), dtype=np.uint8)
    labels = np.full((len(archs), size), 99)
    for row, arch in enumerate(archs):
        adjacency[row, : arch.num_nodes, : arch.num_nodes] = arch.adjacency
        labels[row, : arch.num_nodes] = labels_of(arch)
    return adjacency, labels, np.array([arch.num_nodes for arch in archs])


@pytest.mark.parametrize("length", [0, 1, 54, 55, 56, 63, 64, 119, 120, 250])
@pytest.mark.parametrize("number", [1, 16, 37])
def test_md5_agrees_with_hashlib_around_block_ends(monkeypatch, number, length):
    monkeypatch.setattr(hashing, "_FEW", 0)
    texts = np.random.default_rng(length).integers(0, 256, (number, length), dtype=np.uint8)
    assert text_hashes(texts).tolist() == [hashlib.md5(text.tobytes()).hexdigest() for text in texts]


def test_known_hash():
    """The benchmark's best cell by mean test accuracy, under its published hash."""
    edges = [(0, 1), (0, 2), (0, 5), (0, 6), (1, 5), (2, 3), (3, 4), (4, 5), (5, 6)]
    adjacency = np.zeros((7, 7), dtype=int)
    adjacency[tuple(zip(*edges, strict=True))] = 1
    assert cell_hash(adjacency, [-1, 1, 0, 2, 0, 0, -2]) == "02e5a0247bbdcf2860b7e96f74961594"


@relaxed
@given(st.data())
def test_the_hash_does_not_depend_on_the_drawing(data):
    arch = data.draw(architectures())
    other = data.draw(redrawings(arch))
    assert cell_hash(arch.adjacency, labels_of(arch)) == cell_hash(other.adjacency, labels_of(other))


@relaxed
@given(archs=st.lists(architectures(), min_size=1, max_size=12))
def test_many_agree_with_one_by_one(few, archs):
    expected = [cell_hash(arch.adjacency, labels_of(arch)) for arch in archs]
    hashes = cell_hashes(*as_arrays(archs))
    assert hashes.dtype == np.dtype("<U32")
    assert [str(value) for value in hashes] == expected


def test_graphs_of_another_space(few):
    """Fifteen nodes, and degrees far above NAS-Bench-101's."""
    rng = np.random.default_rng(0)
    adjacency = np.triu(rng.integers(0, 2, (20, 15, 15)), 1)
    labels = rng.integers(-2, 9, (20, 15))
    expected = [cell_hash(a, row) for a, row in zip(adjacency, labels, strict=True)]
    assert [str(h) for h in cell_hashes(adjacency, labels, np.full(20, 15))] == expected


def test_no_cells():
    assert cell_hashes(np.zeros((0, 7, 7)), np.zeros((0, 7), dtype=int), np.zeros(0, dtype=int)).shape == (0,)


def test_progress_counts_every_cell():
    counts = []
    adjacency = np.broadcast_to(np.array([[0, 1], [0, 0]]), (20000, 2, 2))
    hashes = cell_hashes(adjacency, np.broadcast_to([-1, -2], (20000, 2)), np.full(20000, 2), counts.append)
    assert sum(counts) == 20000
    assert len(np.unique(hashes)) == 1


def test_the_number_of_labels_must_fit():
    with pytest.raises(ValueError, match="3 labels need a 3 x 3 adjacency matrix, got shape \\(2, 2\\)"):
        cell_hash(np.zeros((2, 2)), [-1, 0, -2])
