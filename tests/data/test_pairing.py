import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import get_space
from cate_hf.data import make_pairs
from cate_hf.data._pairing import PairSettings, checked_costs, default_settings, default_window, split_by_first
from cate_hf.spaces.custom.custom_space import CustomSpace

# Whole numbers, or multiples of 1/8, whose differences are exact.
COSTS = st.one_of(
    st.lists(st.integers(0, 60), min_size=1, max_size=60).map(np.array),
    st.lists(st.integers(0, 60), min_size=1, max_size=60).map(lambda costs: np.array(costs, np.uint16)),
    st.lists(st.integers(-200, 200), min_size=1, max_size=60).map(lambda costs: np.array(costs) / 8),
)


@settings(deadline=None)
@given(
    costs=COSTS,
    window=st.one_of(st.integers(0, 30), st.integers(0, 90).map(lambda n: n / 8)),
    partners=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_pairs_are_what_the_method_says(costs, window, partners, seed):
    pairs = make_pairs(costs, window, partners, seed)
    costs = costs.astype(float)
    assert pairs.dtype == np.int32
    gaps = costs[pairs[:, 0]] - costs[pairs[:, 1]]
    assert ((gaps >= 0) & (gaps <= window)).all()
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(pairs)  # nothing twice, in either order
    position = np.empty(len(costs), int)
    position[np.argsort(costs, kind="stable")] = np.arange(len(costs))
    assert (position[pairs[:, 1]] < position[pairs[:, 0]]).all()
    earlier = [int(((costs[i] - costs <= window) & (position < position[i])).sum()) for i in range(len(costs))]
    counts = np.bincount(pairs[:, 0], minlength=len(costs))
    assert counts.tolist() == [min(partners, n) for n in earlier]
    assert np.array_equal(pairs, make_pairs(costs, window, partners, seed))


def test_partners_are_drawn_uniformly():
    costs = np.zeros(11)
    counts = np.zeros(11)
    for seed in range(4000):
        pairs = make_pairs(costs, 0, 2, seed)
        counts[pairs[pairs[:, 0] == 10, 1]] += 1
    assert counts[10] == 0
    assert np.abs(counts[:10] / 800 - 1).max() < 0.15  # 5 standard deviations of a binomial share of 1 / 5


def test_more_partners_than_architectures():
    assert len(make_pairs(np.zeros(5), 0, 10**9, 0)) == 10
    assert make_pairs(np.zeros(0), 1, 2, 0).shape == make_pairs(np.zeros(1), 1, 2, 0).shape == (0, 2)


@pytest.mark.parametrize("cost", [np.nan, np.inf])
def test_costs_must_be_numbers(cost):
    with pytest.raises(ValueError, match=rf"costs, row 1: {cost}, expected a finite number"):
        make_pairs(np.array([1.0, cost, 2.0]), 1, 2, 0)
    assert checked_costs(np.array([1, 2], np.uint64)).dtype == np.int64
    assert checked_costs(np.array([1.5], np.float32)).dtype == np.float64


def test_split_holds_out_whole_architectures():
    pairs = make_pairs(np.arange(5000), 20, 2, seed=0)
    splits = split_by_first(pairs, 5000, 0.05, seed=0)
    assert len(splits["train"]) + len(splits["validation"]) == len(pairs)
    assert not set(splits["train"][:, 0]) & set(splits["validation"][:, 0])
    assert 0.03 < len(splits["validation"]) / len(pairs) < 0.07


class TestSettings:
    @pytest.mark.parametrize(
        "fields",
        [
            {"window": -1},
            {"window": float("nan")},
            {"window": float("inf")},
            {"partners": 0},
            {"validation_fraction": 1.0},
            {"seed": -1},
        ],
    )
    def test_are_checked(self, fields):
        with pytest.raises(ValueError, match=next(iter(fields))):
            PairSettings(**fields)

    def test_a_whole_window_is_one_setting(self):
        assert PairSettings(window=5.0) == PairSettings(window=5)
        assert isinstance(PairSettings(window=5.0).window, int)
        assert PairSettings(window=0.5).window == 0.5

    def test_of_the_paper(self):
        for name, expected in {
            "nasbench101": ("parameters", 2_000_000, 2),
            "darts": ("flops", 5_000_000, 1),
        }.items():
            found = default_settings(name)
            assert (found.cost, found.window, found.partners) == expected

    def test_of_a_space_of_ones_own(self):
        space = CustomSpace(name="s", operations={"a": {"latency": 1, "energy": 2}}, nodes=[2, 4])
        found = default_settings(space)
        assert (found.cost, found.window) == ("latency", None)
        space = CustomSpace(
            name="s", operations={"a": {"latency": 1, "energy": 2}}, nodes=[2, 4], pairing={"window": 7, "partners": 1}
        )
        assert default_settings(space) == PairSettings("latency", 7, 1)
        assert default_settings(space, seed=4, window=None) == PairSettings("latency", 7, 1, seed=4)

    def test_a_window_is_of_its_cost(self):
        assert default_settings("nasbench101", cost="flops").window is None
        assert default_settings("nasbench101", cost="parameters").window == 2_000_000
        assert default_settings("nasbench101", cost="flops", window=3).window == 3


class TestDefaultWindow:
    def test_is_about_the_papers_on_nasbench101(self):
        assert abs(default_window(get_space("nasbench101").pool().columns["parameters"]) - 2_000_000) < 10_000

    def test_where_most_cost_the_same(self):
        assert default_window(np.array([0.0] * 9 + [50.0])) == 2.0
        assert default_window(np.zeros(4)) == default_window(np.zeros(0)) == 0

    @settings(deadline=None)
    @given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=50), st.integers(0, 6))
    def test_follows_the_unit(self, costs, power):
        costs = np.array(costs, float)
        assert default_window(costs * 2**power) == default_window(costs) * 2**power
        whole = default_window(costs.astype(int))
        assert isinstance(whole, int)
        assert whole == int(default_window(costs))
