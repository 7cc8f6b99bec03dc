"""What a run is trained on: a file with a cost column, long graphs, several spaces."""

import json

import numpy as np
import pytest
from accelerate import Accelerator

from cate_hf import get_space, load_encoder
from cate_hf.encodings.files import encode_to_parquet
from cate_hf.graphs import read_parquet, write_parquet
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.spaces.registry import register_space
from cate_hf.training._arguments import parse
from cate_hf.training.run import Pretraining, pretrain
from cate_hf.training.settings import PretrainSettings, RunOptions

SMALL = {"max_steps": 2, "batch_size": 8, "statistics_batch_size": 8}
LONG = """
name: long-chains
operations: {a: {work: 1}, b: {work: 3}}
nodes: [10, 200]
edges: [9, 400]
skeleton: chain
pool: 60
"""


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture
def measured(tmp_path):
    """Cells with a cost of one's own."""
    table = get_space("nasbench201").sample(200, seed=2)
    latency = np.random.default_rng(0).random(200)
    table = table.with_columns(latency=latency, name=np.array([f"cell {i}" for i in range(200)], dtype=object))
    write_parquet(table, tmp_path / "cells.parquet")
    return tmp_path / "cells.parquet"


def test_pairs_of_a_file_by_a_column(measured, tmp_path, accelerator):
    settings = PretrainSettings(space="nasbench201", input=str(measured), cost="latency", **SMALL)
    run = Pretraining(settings, RunOptions(tmp_path / "run"), accelerator)
    latency = read_parquet(measured).columns["latency"]
    assert len(run.tokens.input_ids) == 200
    gaps = latency[run.train_pairs[:, 0]] - latency[run.train_pairs[:, 1]]
    low, high = np.quantile(latency, [0.25, 0.75])
    assert 0 <= gaps.min() <= gaps.max() <= (high - low) / 4
    assert run.pair_facts["cost"] == "latency"
    pretrain(settings, RunOptions(tmp_path / "run", evaluate_pairs=16), accelerator)
    assert load_encoder(tmp_path / "run").space == "nasbench201"


def test_costs_that_are_none(measured, tmp_path, accelerator):
    for changes, message in (
        ({"cost": "latencyy"}, "did you mean 'latency'"),
        ({"cost": "name"}, "column 'name' holds object, expected numbers"),
        ({"space": "nasbench101"}, "cells.parquet"),
        ({"input": "nothing.parquet"}, "nothing.parquet"),
    ):
        settings = PretrainSettings(**({"space": "nasbench201", "input": str(measured), **SMALL} | changes))
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            Pretraining(settings, RunOptions(tmp_path / "run"), accelerator)
    with pytest.raises(ValueError, match="leave input and cost out"):
        PretrainSettings(pairs="pairs", cost="latency")


def test_a_column_with_a_missing_cost_names_the_row(measured, tmp_path, accelerator):
    table = read_parquet(measured)
    latency = table.columns["latency"].copy()
    latency[7] = np.nan
    write_parquet(table.with_columns(latency=latency), measured, overwrite=True)
    settings = PretrainSettings(space="nasbench201", input=str(measured), cost="latency", **SMALL)
    with pytest.raises(ValueError, match="row 7"):
        Pretraining(settings, RunOptions(tmp_path / "run"), accelerator)


@pytest.mark.long
def test_graphs_of_two_hundred_nodes(tmp_path, accelerator):
    (tmp_path / "long.yaml").write_text(LONG)
    settings = PretrainSettings(
        space=str(tmp_path / "long.yaml"), **(SMALL | {"batch_size": 4, "statistics_batch_size": 4})
    )
    run = Pretraining(settings, RunOptions(tmp_path / "run"), accelerator)
    assert run.config.max_nodes == 200
    assert settings.length_multiple_of(run.config) == 8
    pretrain(settings, RunOptions(tmp_path / "run", evaluate_pairs=4), accelerator)
    encoder = load_encoder(tmp_path / "run")
    table = encoder.search_space.pool()[:5]
    assert np.isfinite(encoder.encode(table)).all()


def test_one_encoder_of_several_spaces(tmp_path, accelerator, monkeypatch):
    # The second shares operations with the first, and has two inputs.
    small = {"nodes": [2, 5], "edges": [1, 7]}
    first = CustomSpace(name="mix-first", operations={"conv": {"work": 9}, "pool": {"work": 1}}, **small)
    second = CustomSpace(
        name="mix-second",
        operations={"conv": {"work": 20}, "skip": {"work": 0}},
        input=["left", "right"],
        nodes=[4, 5],
        edges=[3, 8],
    )
    for space in (first, second):
        register_space(space, replace=True)
    options, fields, _ = parse(["--output-dir", "x", "--space", "mix-first", "--space", "mix-second"])
    assert options.space == fields["space"] == "mix-first+mix-second"
    settings = PretrainSettings(space=fields["space"], **SMALL)
    run = Pretraining(settings, RunOptions(tmp_path / "run"), accelerator)
    rows = run.pair_facts["members"][0]["architectures"]
    for pairs in (run.train_pairs, run.validation_pairs):  # partners are of one space
        assert np.array_equal(pairs[:, 0] < rows, pairs[:, 1] < rows)
    assert {"conv:count", "pool:count", "skip:count"} <= set(run.targets.names)
    known = ~np.isnan(run.targets.structure.astype(np.float32))
    pool, skip = run.targets.names.index("pool:count"), run.targets.names.index("skip:count")
    assert known[:rows, pool].all()
    assert not known[rows:, pool].any()
    assert known[rows:, skip].all()
    assert not known[:rows, skip].any()
    pretrain(settings, RunOptions(tmp_path / "run", evaluate_pairs=16), accelerator)
    facts = json.loads((tmp_path / "run" / "training" / "facts.json").read_text())
    assert facts["space"] == "mix-first+mix-second"

    encoder = load_encoder(tmp_path / "run")
    assert set(encoder.tokenizer.operations) == {*first.vocabulary, *second.vocabulary}
    for space in (first, second):
        table = space.pool()[:20]
        assert np.isfinite(encoder.encode(table)).all()
        write_parquet(table, tmp_path / f"{space.name}.parquet")
        rows, _ = encode_to_parquet(
            tmp_path / "run", tmp_path / f"{space.name}-encoded.parquet", input=tmp_path / f"{space.name}.parquet"
        )
        assert rows == 20
        rows, _ = encode_to_parquet(tmp_path / "run", tmp_path / f"{space.name}-all.parquet", space=space.name)
        assert rows == len(space.pool())
    with pytest.raises(ValueError, match="not of nasbench201"):
        encode_to_parquet(tmp_path / "run", tmp_path / "x.parquet", space="nasbench201")


def test_static_shapes(capsys):
    _, fields, _ = parse(["--output-dir", "x", "--static-shapes"])
    assert fields["length_multiple"] == 0
    with pytest.raises(SystemExit):
        parse(["--output-dir", "x", "--static-shapes", "--length-multiple", "8"])
    with pytest.raises(ValueError, match="sees padding"):
        PretrainSettings(preset="paper", length_multiple=8)
