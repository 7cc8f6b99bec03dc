"""Proposals: valid, new, different, better than random ones, within conditions."""

import numpy as np
import pyarrow.csv
import pytest

from cate_hf import fit_predictor, get_space, propose
from cate_hf.commands._propose import propose as command
from cate_hf.search.propose import _front, _order

CHAIN = """name: small-chain
operations:
  wide: {parameters: 100}
  thin: {parameters: 10}
  free: {parameters: 0}
nodes: 12
edges: [11, 24]
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    file = tmp_path_factory.mktemp("space") / "chain.yaml"
    file.write_text(CHAIN)
    return get_space(file)


def value(space, table):
    """Wide operations and many edges are good."""
    wide = (table.operation_codes == space.vocabulary.index("wide")).sum(1)
    return 0.5 + 0.05 * wide + 0.02 * np.bitwise_count(table.edge_bits).sum(1) / 3


@pytest.fixture(scope="module")
def predictor(chain):
    cells = chain.sample(60, seed=1).replace_columns({})
    labels = {"accuracy": value(chain, cells), "latency": 1.0 + chain.parameters_many(cells) / 100}
    return fit_predictor(cells, labels, space=chain, members=0, trees=True, gp=False)


def test_proposals_are_new_valid_and_better_than_many_random_ones(predictor, chain):
    found = propose(predictor, n=6, targets=["accuracy"], start=200, rounds=8)
    assert len(found) == 6
    hashes = chain.hash_many(chain.validate_many(found.replace_columns({})))
    assert list(hashes) == list(found.columns["hash"])
    assert len(set(hashes)) == 6
    assert not set(hashes) & set(predictor.labels.table.columns["hash"])
    predicted = found.columns["predicted"]
    assert (np.diff(predicted) <= 1e-9).all()
    np.testing.assert_allclose(predicted, predictor.predict(found, "accuracy")[0])
    others = chain.sample(2000, seed=5)
    assert predicted[0] >= predictor.predict(others, "accuracy")[0].max() - 1e-9
    assert value(chain, found).mean() > np.quantile(value(chain, others), 0.98)
    for row in range(6):  # none is a step from another
        assert not set(chain.neighbours(found[row]).columns["hash"]) & set(hashes)
    again = propose(predictor, n=6, targets=["accuracy"], start=200, rounds=8)
    assert list(again.columns["hash"]) == list(found.columns["hash"])


def test_conditions_and_a_front(predictor, chain):
    found = propose(predictor, n=8, where="parameters<=130, latency<2.5, nodes>=3", start=200, rounds=6, diverse=False)
    assert (chain.parameters_many(found) <= 130).all()
    assert (predictor.predict(found, "latency")[0] < 2.5).all()
    scores = np.column_stack([found.columns["predicted:accuracy"], -found.columns["predicted:latency"]])
    best = _front(scores)
    assert best[: best.sum()].all()  # the front comes first
    assert best.sum() >= 2
    for wrong, message in (
        ("parameter<4", "did you mean 'parameters'"),
        ("parameters", "not a condition|expected"),
        ("parameters<0", "no architecture of small-chain was found"),
    ):
        with pytest.raises(ValueError, match=message):
            propose(predictor, where=wrong, start=50, rounds=1)
    with pytest.raises(ValueError, match="n and start must be at least 1"):
        propose(predictor, n=0)
    with pytest.raises(ValueError, match="the predictor is of small-chain, not of nasbench201"):
        propose(predictor, space="nasbench201")


def test_the_front_is_what_nothing_dominates():
    scores = np.random.default_rng(0).normal(size=(200, 2)).round(1)
    found = _front(scores)
    for row, mine in enumerate(scores):
        worse = (scores >= mine).all(1) & (scores > mine).any(1)
        assert found[row] == (not worse.any())
    order = _order(scores, np.zeros(200))
    assert set(order[: found.sum()]) == set(np.flatnonzero(found))


def test_pairs_of_cells():
    darts = get_space("darts")
    normal, reduction = (darts.sample(40, seed=seed).replace_columns({}) for seed in (1, 2))
    pairs = darts.pairs([type(darts.pair(a))(a, b) for a, b in zip(normal, reduction, strict=True)])
    values = 0.9 + 0.01 * np.log(darts.flops_many(normal) / 1e8)
    predictor = fit_predictor(pairs, values, space=darts, members=0, gp=False, wiring=False)
    found = propose(predictor, n=4, where="parameters<2e6", start=100, rounds=2)
    assert len(found) == 4
    costs = darts.costs_of(found.normal, found.reduction)[0]
    np.testing.assert_array_equal(costs, found.columns["parameters"])
    assert (costs < 2e6).all()
    assert found.columns["predicted"][0] > predictor.predict(pairs)[0].mean()
    assert darts.hash(found[0]) == found.columns["hash"][0]


def test_the_command(predictor, chain, tmp_path, capsys):
    folder, file = predictor.save(tmp_path / "predictor"), tmp_path / "next.csv"
    settings = {"n": 5, "rounds": 2, "where": "parameters<400", "target": None, "diverse": True, "seed": 0}
    command(str(folder), file, figure=tmp_path / "front.png", overwrite=False, **settings)
    assert "5 architectures" in capsys.readouterr().out
    rows = pyarrow.csv.read_csv(file)
    assert rows.num_rows == 5
    assert list(chain.hash_many(chain.parse_many(rows["architecture"].to_pylist()))) == rows["hash"].to_pylist()
    assert (tmp_path / "front.png").stat().st_size > 3000
    with pytest.raises(ValueError, match="expected a name that ends with .parquet or .csv"):
        command(str(folder), tmp_path / "next.txt", figure=None, overwrite=False, **settings)
    with pytest.raises(ValueError, match="draws two labels, not 1"):
        command(str(folder), file, figure=tmp_path / "f.png", overwrite=True, **(settings | {"target": ["accuracy"]}))
