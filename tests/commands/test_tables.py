"""`cate enumerate` and `cate pairs`."""

import json

import numpy as np
import pytest
from datasets import load_dataset

from cate_hf import get_space
from cate_hf.cli import main
from cate_hf.data import load_architectures
from cate_hf.data.pairs import read_pairs
from cate_hf.graphs import read_parquet
from cate_hf.graphs._cache import CACHE_VARIABLE

SMALL = "name: small\noperations: {conv: {latency: 1.5}, pool: {latency: 0.25}}\nnodes: [2, 5]\nedges: [1, 6]\n"
WIDE = "name: wide\noperations: [a, b, c]\nnodes: [2, 20]\npool: 300\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "wide.yaml").write_text(WIDE)
    return tmp_path


def refused(capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert main([*arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_enumerate_a_space_of_ones_own(folder, capsys):
    assert main(["enumerate", "small.yaml", "--output", "cells.parquet"]) == 0
    table, pool = read_parquet(folder / "cells.parquet"), get_space("small.yaml").pool()
    assert (
        f"{len(pool):,} architectures of small, columns operations, adjacency, hash, latency" in capsys.readouterr().out
    )
    assert np.array_equal(table.columns["hash"], pool.columns["hash"])
    assert np.array_equal(table.columns["latency"], pool.columns["latency"])
    published = load_dataset("parquet", data_files="cells.parquet", split="train")
    assert published.features == load_architectures("small.yaml").features
    assert published.data.table == load_architectures("small.yaml").data.table


def test_enumerate_a_sample(folder, capsys):
    assert "--sample N" in refused(capsys, "enumerate", "wide.yaml", "--output", "cells.parquet")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert (
            main(["enumerate", "wide.yaml", "--output", f"{name}.parquet", "--sample", "50", "--seed", str(seed)]) == 0
        )
    a, b, c = (read_parquet(folder / f"{name}.parquet") for name in "abc")
    assert len(a) == len(set(a.columns["hash"])) == 50
    assert np.array_equal(a.columns["hash"], b.columns["hash"])
    assert not np.array_equal(a.columns["hash"], c.columns["hash"])
    assert np.array_equal(get_space("wide.yaml").hash_many(a), a.columns["hash"])
    assert "sample" in refused(capsys, "enumerate", "wide.yaml", "--output", "x.parquet", "--sample", "0")
    more = refused(capsys, "enumerate", "nasbench201", "--output", "x.parquet", "--sample", "15626")
    assert "nasbench201 has 8,765 different architectures, fewer than the 15,626 of the sample" in more
    assert "exists already" in refused(capsys, "enumerate", "wide.yaml", "--output", "a.parquet", "--sample", "5")


def test_pairs_of_a_space_of_ones_own(folder, capsys):
    assert main(["pairs", "small.yaml", "--output", "pairs", "--window", "0.5", "--partners", "1"]) == 0
    table, splits, facts = read_pairs(folder / "pairs")
    assert (facts["space"], facts["cost"], facts["window"], facts["partners"]) == ("small", "latency", 0.5, 1)
    assert f"{len(splits['train']):,} training" in capsys.readouterr().out
    gaps = np.concatenate([np.subtract(*table.columns["latency"][pairs].T) for pairs in splits.values()])
    assert 0 <= gaps.min() <= gaps.max() <= 0.5
    assert (folder / "pairs" / "space.yaml").is_file()
    # The card's command makes them again.
    command = facts["command"].split()
    assert command[:2] == ["cate", "pairs"]
    arguments = [word.replace("space.yaml", "pairs/space.yaml") for word in command[1:-1]]
    assert main([*arguments, "again"]) == 0
    assert json.loads((folder / "again" / "pairs.json").read_text()) == facts
    assert (folder / "again" / "train.parquet").read_bytes() == (folder / "pairs" / "train.parquet").read_bytes()


def test_pairs_by_another_cost_than_the_spaces_own(folder):
    own = SMALL.replace("latency: 0.25", "latency: 0.25, energy: 100").replace(
        "latency: 1.5", "latency: 1.5, energy: 7"
    )
    (folder / "two.yaml").write_text(own + "pairing: {cost: latency, window: 0.001}\n")
    assert main(["pairs", "two.yaml", "--output", "pairs", "--cost", "energy"]) == 0
    table, _, facts = read_pairs(folder / "pairs")
    assert facts["cost"] == "energy"
    low, high = np.quantile(table.columns["energy"], [0.25, 0.75])
    assert facts["window"] == int((high - low) / 4) > 0


def test_nothing_is_left_of_what_is_refused(folder, capsys):
    assert "'beauty'" in refused(capsys, "pairs", "small.yaml", "--output", "pairs", "--cost", "beauty")
    assert "window" in refused(capsys, "pairs", "small.yaml", "--output", "pairs", "--window", "nan")
    assert "partners" in refused(capsys, "pairs", "small.yaml", "--output", "pairs", "--partners", "0")
    assert "none.yaml" in refused(capsys, "pairs", "none.yaml", "--output", "pairs")
    assert not (folder / "pairs").exists()
