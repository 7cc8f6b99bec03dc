"""Random vectors and costs as encodings."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cate_hf import get_space
from cate_hf.encodings import get_encoding
from tests.encodings.conftest import encoding_of, space_of
from tests.strategies import architectures, redrawings


@settings(deadline=None, max_examples=40)
@given(data=st.data(), cell=architectures())
def test_isomorphic_drawings_share_a_vector_and_others_do_not(data, cell):
    space = get_space("nasbench101")
    assume(space.is_valid(cell))
    cell = space.validate(cell)
    cells = [cell, data.draw(redrawings(cell)), space.example()]
    for name in ("random", "parameters"):
        first, second, other = encoding_of(name, "nasbench101").transform(cells)
        if name == "random":
            np.testing.assert_array_equal(first, second)
            assert (first == other).all() == (space.hash(cell) == space.hash(cells[2]))
        else:  # costs of this space depend on the drawing where channels are left over
            np.testing.assert_allclose(first, second, atol=0.05)
            same = all(np.ptp(getattr(space, f"{cost}_many")(space.table(cells[:2]))) == 0 for cost in space.cost_names)
            assert (first == second).all() == same


def test_random_numbers_are_normal_independent_and_the_same_everywhere():
    space = space_of("nasbench101")
    table = space.pool()[:40_000]
    encoding = encoding_of("random", "nasbench101")
    vectors = encoding.transform(table).astype(np.float64)
    np.testing.assert_array_equal(encoding.transform(table[:9].replace_columns({})), vectors[:9])
    assert abs(vectors.mean(axis=0)).max() < 0.03
    assert abs(vectors.std(axis=0) - 1).max() < 0.03
    assert abs((vectors**4).mean() - 3) < 0.05
    assert abs(np.corrcoef(vectors.T) - np.eye(64)).max() < 0.03
    assert abs(np.corrcoef(vectors[:300]) - np.eye(300)).max() < 0.75
    short = get_encoding("random", "nasbench101", dim=3)
    np.testing.assert_array_equal(short.transform(table[:5]), vectors[:5, :3])
    with pytest.raises(ValueError, match="dim must be at least 1, not 0"):
        get_encoding("random", "nasbench101", dim=0)


def test_random_numbers_of_one_architecture_stay_what_they_are():
    """Tables of encodings that are kept would not fit others."""
    vector = encoding_of("random", "nasbench101").transform([space_of("nasbench101").example()])[0]
    np.testing.assert_allclose(vector[:4], VECTOR, atol=1e-5)


VECTOR = [-0.85787, 0.99759, 1.26156, 0.35409]


@pytest.mark.parametrize("space", ["nasbench101", "nasbench201", "darts", "two-inputs", "tiny"])
def test_costs_are_standardised_logarithms(space):
    its, encoding = space_of(space), encoding_of("parameters", space)
    pool = its.pool()
    costs = np.array([its.costs(pool, name) for name in its.cost_names], dtype=np.float64).T
    logarithms = np.log(1 + costs)
    deviation = logarithms.std(axis=0)
    expected = (logarithms - logarithms.mean(axis=0)) / np.where(deviation > 1e-9, deviation, 1)
    few = slice(0, 2000)
    np.testing.assert_allclose(encoding.transform(pool[few].replace_columns({})), expected[few], atol=1e-5)
    assert encoding.dim == len(its.cost_names)


def test_equal_costs_are_not_divided_by_zero():
    from cate_hf.spaces.custom.custom_space import CustomSpace

    space = CustomSpace(name="encodings-equal", operations=["conv", "pool"], nodes=[4, 4])
    vectors = get_encoding("parameters", space).transform(space.pool())
    assert np.abs(vectors).max() < 1e-6
