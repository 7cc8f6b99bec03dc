import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf.search import _nearest as module
from cate_hf.search._nearest import Nearest


def make(encodings):
    encodings = np.ascontiguousarray(encodings, np.float32)
    return Nearest(encodings, np.einsum("nd,nd->n", encodings, encodings))


def by_hand(encodings, row, free, count):
    distances = ((encodings.astype(np.float64) - encodings[row]) ** 2).sum(1)
    order = [r for r in np.argsort(distances, kind="stable").tolist() if free[r] and r != row]
    return order[:count]


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(2, 300),
    offset=st.sampled_from([0.0, 1.0, 1000.0]),
    share=st.sampled_from([0.02, 0.5, 1.0]),
    levels=st.sampled_from([0, 3]),
)
def test_the_nearest_free_rows_are_exact(seed, rows, offset, share, levels):
    """Ties by row; also where |a|² - 2ab loses all digits in float32."""
    rng = np.random.default_rng(seed)
    encodings = rng.normal(size=(rows, 4)) if not levels else rng.integers(levels, size=(rows, 4))
    encodings = (offset + 0.01 * encodings).astype(np.float32)
    search = make(encodings)
    for _ in range(6):
        free = rng.random(rows) < share
        row, count = int(rng.integers(rows)), int(rng.integers(1, 8))
        assert search.free(row, free, count).tolist() == by_hand(encodings, row, free, count)


def test_lists_are_found_at_once_and_grow(monkeypatch):
    monkeypatch.setattr(module, "_LIST", 4)
    encodings = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    search = make(encodings)
    search.find([3, 5, 3, 8], 4)
    assert sorted(search._lists) == [3, 5, 8]
    free = np.ones(200, bool)
    free[by_hand(encodings, 3, free, 60)] = False  # its list is used up, and up again
    assert search.free(3, free, 2).tolist() == by_hand(encodings, 3, free, 2)
    assert search.free(3, np.zeros(200, bool), 2).tolist() == []
    assert len(search._lists[3]) == 199


@pytest.mark.parametrize("rows", [1, 2])
def test_hardly_any_rows(rows):
    search = make(np.zeros((rows, 2)))
    assert search.free(0, np.ones(rows, bool), 5).tolist() == [1][: rows - 1]
