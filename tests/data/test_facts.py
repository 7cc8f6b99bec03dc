import json
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import get_space
from cate_hf.data._facts import architecture_facts, histogram, quantiles
from cate_hf.data.pairs import build_pairs, default_settings
from cate_hf.spaces.custom.custom_space import CustomSpace


def test_of_nasbench101():
    facts = architecture_facts(get_space("nasbench101"), get_space("nasbench101").pool())
    assert facts["nodes"] == {"2": 1, "3": 6, "4": 84, "5": 2_441, "6": 62_010, "7": 359_082}
    assert facts["cost_quantiles"]["parameters"]["0"] == 227_274
    assert facts["cost_quantiles"]["parameters"]["1"] == 49_979_274
    assert facts["license"] == "apache-2.0"
    assert not facts["sampled"]


def test_of_pairs(small):
    table, splits, facts = build_pairs(small, default_settings(small, window=0.1, partners=1))
    pairs = np.concatenate([*splits.values()])
    assert facts["without_partner"] == len(set(range(len(table))) - set(pairs[:, 0].tolist()))
    assert facts["in_no_pair"] == len(set(range(len(table))) - set(pairs.ravel().tolist()))
    assert facts["pairs"] == facts["train_pairs"] + facts["validation_pairs"] == len(pairs)
    assert facts["cost_gap_quantiles"]["1"] == 0.0
    assert sum(row["count"] for row in facts["cost_histogram"]) == len(table)
    assert facts["license"] is None
    assert "--cost latency --window 0.1 --partners 1 --seed 0" in facts["command"]
    assert json.loads(json.dumps(facts)) == facts
    assert build_pairs(small, default_settings(small, validation_fraction=0.5))[2]["command"] is None


def test_a_sample_says_what_it_is_drawn_from(cache):
    space = CustomSpace(name="wide", operations=["a"], nodes=[2, 30], pool=200)
    facts = architecture_facts(space, space.pool())
    assert facts["sampled"]
    assert facts["distribution"] == space.distribution


@settings(deadline=None)
@given(st.lists(st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9), max_size=60), st.integers(1, 15))
def test_histogram_counts_all(values, bins):
    values = np.array(values)
    rows = histogram(values, bins)
    assert sum(row["count"] for row in rows) == len(values)
    assert len(rows) <= bins
    for row, following in pairwise(rows):
        assert row["from"] <= row["to"] <= following["from"]
    if len(values):
        assert rows[0]["from"] == values.min()
        assert rows[-1]["to"] == values.max()


def test_quantiles_keep_the_kind_of_number():
    assert quantiles(np.array([1, 2, 4]), (0, 0.5, 1)) == {"0": 1, "0.5": 2, "1": 4}
    assert quantiles(np.array([1.5]), (0.5,)) == {"0.5": 1.5}
    assert quantiles(np.array([])) == {}
