import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf.data import load_pairs, make_pairs, write_pairs
from cate_hf.data.pairs import PairSettings, build_pairs, default_settings, read_pairs, split_by_first


@settings(deadline=None)
@given(
    costs=st.lists(st.integers(0, 60), min_size=1, max_size=60),
    window=st.integers(0, 30),
    partners=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_pairs_are_what_the_method_says(costs, window, partners, seed):
    costs = np.array(costs)
    pairs = make_pairs(costs, window, partners, seed)
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


def test_split_holds_out_whole_architectures():
    pairs = make_pairs(np.arange(5000), 20, 2, seed=0)
    splits = split_by_first(pairs, 5000, 0.05, seed=0)
    assert len(splits["train"]) + len(splits["validation"]) == len(pairs)
    assert not set(splits["train"][:, 0]) & set(splits["validation"][:, 0])
    assert 0.03 < len(splits["validation"]) / len(pairs) < 0.07


@pytest.mark.parametrize("fields", [{"window": -1}, {"partners": 0}, {"validation_fraction": 1.0}])
def test_settings_are_checked(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        PairSettings(**fields)


def test_nasbench101_pairs_are_the_papers():
    settings_ = default_settings("nasbench101")
    assert (settings_.cost, settings_.window, settings_.partners) == ("parameters", 2_000_000, 2)
    table, splits, facts = build_pairs("nasbench101")
    assert facts["pairs"] == 847_233  # two for each of 423,624 cells but those at the start of a gap
    assert facts["train_pairs"] == len(splits["train"])
    pairs = np.concatenate([*splits.values()])
    gaps = table.columns["parameters"][pairs[:, 0]] - table.columns["parameters"][pairs[:, 1]]
    assert 0 <= gaps.min() <= gaps.max() <= 2_000_000


def test_written_pairs_come_back(tmp_path):
    facts = write_pairs("nasbench101", tmp_path / "pairs", default_settings("nasbench101", cost="flops", window=10**7))
    table, splits, read_facts = read_pairs(tmp_path / "pairs")
    assert read_facts == facts
    assert facts["cost"] == "flops"
    assert len(table) == facts["architectures"] == 423_624
    assert len(splits["train"]) == facts["train_pairs"]
    card = (tmp_path / "pairs" / "README.md").read_text()
    assert f"{facts['pairs']:,}" in card
    dataset = load_pairs(str(tmp_path / "pairs"))
    assert dataset["train"].column_names == ["first", "second"]
    assert dataset["validation"].num_rows == facts["validation_pairs"]
    assert dataset["train"][5] == {"first": int(splits["train"][5, 0]), "second": int(splits["train"][5, 1])}
    with pytest.raises(FileExistsError):
        write_pairs("nasbench101", tmp_path / "pairs")
    (tmp_path / "pairs" / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"train.parquet: cannot be read as pairs"):
        read_pairs(tmp_path / "pairs")
    (tmp_path / "pairs" / "pairs.json").unlink()
    with pytest.raises(ValueError, match=r"pairs.json is missing"):
        read_pairs(tmp_path / "pairs")
