import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf.encodings._nearest import nearest


@settings(deadline=None)
@given(
    n=st.integers(1, 60),
    k=st.integers(1, 12),
    offset=st.sampled_from([0.0, 100.0]),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_nearest_is_what_measuring_all_gives(n, k, offset, seed, data):
    rng = np.random.default_rng(seed)
    encodings = (offset + rng.normal(size=(n, 5)).round(data.draw(st.integers(0, 3)))).astype(np.float32)
    row = data.draw(st.integers(0, n - 1))
    distances = np.linalg.norm(encodings.astype(np.float64) - encodings[row].astype(np.float64), axis=1)
    others = [i for i in np.argsort(distances, kind="stable") if i != row][:k]
    rows, found = nearest(encodings, row, k)
    assert rows.tolist() == others
    np.testing.assert_allclose(found, distances[others])
    rows, found = nearest(encodings, encodings[row], k)
    assert rows.tolist() == np.argsort(distances, kind="stable")[:k].tolist()
    assert found[0] == 0


def test_bad_queries_are_refused():
    encodings = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match="row 4 of 4 encodings"):
        nearest(encodings, 4)
    with pytest.raises(ValueError, match="shape"):
        nearest(encodings, np.zeros(2))
    with pytest.raises(ValueError, match="k must be at least 1"):
        nearest(encodings, 0, k=0)
