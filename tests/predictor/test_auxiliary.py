"""Columns beside the labels: looked up, estimated, and weighed by labels held out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from cate_hf import PredictorRegressor, fit_predictor, get_space, load_predictor
from cate_hf.commands._finetune import finetune
from cate_hf.graphs.io import write_parquet
from cate_hf.predictor import suggest_measurements
from cate_hf.surrogates.shares import Shares, SharesAndRidge


@pytest.fixture(scope="module")
def space201():
    return get_space("nasbench201")


@pytest.fixture(scope="module")
def devices(space201):
    """All cells with latencies on five devices, and one that has nothing to do with them."""
    cells = space201.enumerate()
    rng = np.random.default_rng(0)
    codes = np.array([[int(digit) for digit in f"{key:06d}"] for key in cells.columns["code"]])
    frame = pd.DataFrame({"architecture": cells.columns["cell"]})
    for device in range(5):
        cost = np.array([0.0, 0.3, 1.0 + 0.2 * device, 2.0 + device, 0.5])
        frame[f"device{device}"] = np.exp(0.02 * rng.normal(size=len(codes))) * (5 + cost[codes].sum(1))
    frame["noise"] = rng.normal(size=len(codes))
    return frame.sample(3000, random_state=0).reset_index(drop=True)


def spearman(a, b):
    return np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1]


@pytest.fixture(scope="module")
def fitted_device(devices):
    rows, tested = np.split(np.random.default_rng(3).permutation(len(devices))[:420], [20])
    texts, latency = devices.architecture.to_numpy(), devices.device4.to_numpy()
    predictor = fit_predictor(
        texts[rows].tolist(),
        {"latency": latency[rows]},
        space="nasbench201",
        auxiliary=devices.drop(columns="device4"),
        members=0,
        gp=False,
    )
    return predictor, texts[tested].tolist(), latency[tested]


def test_other_devices_help_and_noise_does_not(fitted_device):
    predictor, tested, latency = fitted_device
    mean, _ = predictor.predict(tested)
    assert spearman(mean, latency) > 0.97  # cells of the same graph differ: without their text it would be 0.9
    low, high = predictor.interval(tested, 0.9)
    assert (low > 0).all()
    assert 0.8 < np.mean((low < latency) & (latency < high)) <= 1
    report = predictor.report()["latency"]
    columns = report["auxiliary"]
    assert columns["device3"]["share"] > 0.2
    assert abs(columns["noise"]["share"]) < 0.1
    assert "auxiliary" in report["carried_by"]


def test_scikit_learns_estimator_takes_them_too(fitted_device, devices):
    predictor, tested, _ = fitted_device
    rows = np.random.default_rng(3).permutation(len(devices))[:20]
    others = devices.drop(columns="device4")
    regressor = PredictorRegressor(space="nasbench201", members=0, gp=False, auxiliary=others)
    labels = pd.Series(devices.device4.to_numpy()[rows], name="latency")
    regressor = clone(regressor).fit(devices.architecture.to_numpy()[rows].tolist(), labels)
    np.testing.assert_allclose(regressor.predict(tested), predictor.predict(tested)[0])


def test_it_comes_back_with_its_columns(fitted_device, tmp_path):
    predictor, tested, _ = fitted_device
    again = load_predictor(predictor.save(tmp_path / "saved"))
    np.testing.assert_allclose(again.predict(tested)[0], predictor.predict(tested)[0], rtol=1e-6)
    assert again.report()["latency"]["auxiliary"] == predictor.report()["latency"]["auxiliary"]
    new = [text for text in tested if text not in predictor.labels.table.columns["text"]][:5]
    again.update(new, {"latency": predictor.predict(new)[0]})
    assert len(again.labels) > len(predictor.labels)


def test_what_is_unknown_is_estimated(space201, devices, fitted_device):
    predictor, _, _ = fitted_device
    auxiliary = predictor.features.auxiliary
    table = space201.table(devices.architecture[:50].tolist())
    known = auxiliary.known(space201, table)
    assert not np.isnan(known).any()
    plain = predictor.features(table)[:, : predictor.features.plain_dim]
    others = replace(auxiliary, keys=auxiliary.keys[:1], values=auxiliary.values[:1])
    estimated = others(space201, table, plain)
    assert spearman(estimated[:, 0], known[:, 0]) > 0.8
    # Columns of the labelled alone are estimated for all, for the labelled without themselves.
    rows = np.random.default_rng(0).permutation(len(devices))[:30]
    own = fit_predictor(
        devices.architecture[rows].tolist(),
        {"latency": devices.device4.to_numpy()[rows]},
        space="nasbench201",
        auxiliary={"device0": devices.device0.to_numpy()[rows]},
        members=0,
        gp=False,
    )
    assert not own.features.auxiliary.elsewhere.any()
    labels = own.features(own.labels.table, labelled=True)[:, -1]
    assert not np.allclose(labels, own.features.auxiliary.known(space201, own.labels.table)[:, 0], atol=1e-3)


def test_columns_that_do_not_fit(devices, space201):
    texts, latency = devices.architecture[:8].tolist(), devices.device0[:8].to_numpy()
    for auxiliary, message in (
        ({"device1": latency[:3]}, "'device1': expected 8 numbers"),
        (devices[["architecture"]], "no column of numbers besides the labels"),
        (devices[["architecture"]].assign(latency=1.0), "no column of numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_predictor(texts, {"latency": latency}, space=space201, auxiliary=auxiliary, members=0, gp=False)


def test_shares_have_the_sign_of_their_correlation():
    rng = np.random.default_rng(0)
    common = rng.normal(size=400)
    columns = np.column_stack([common + 0.3 * rng.normal(size=400) for _ in range(6)] + [-common, rng.normal(size=400)])
    columns[:, 6] += 0.1 * rng.normal(size=400)
    labels = common[:, None] + 0.05 * rng.normal(size=(400, 1))
    few = Shares.fit(columns[:6], labels[:6])
    assert np.corrcoef(few.predict(columns)[:, 0], common)[0, 1] > 0.97
    many = Shares.fit(columns, labels)
    assert many.weights[6, 0] < -0.3
    assert (many.weights[:6, 0] >= 0).all()
    plain = rng.normal(size=(400, 3))
    both = SharesAndRidge.fit(np.column_stack([plain, columns])[:200], labels[:200] + plain[:200, :1], 3)
    found = both.predict(np.column_stack([plain, columns])[200:])
    assert np.corrcoef(found[:, 0], (labels + plain[:, :1])[200:, 0])[0, 1] > 0.97


def test_suggested_measurements_differ(devices, space201):
    first = suggest_measurements(space201, 6, auxiliary=devices)
    assert len(first) == 6
    assert len(set(space201.hash_many(first))) == 6
    values = devices.set_index("architecture").device0[first.columns["text"]]
    assert values.max() / values.min() > 2
    chosen = suggest_measurements(space201, 4, first)
    assert set(space201.hash_many(chosen)) < set(space201.hash_many(first))
    for n, said in ((7, "7"), (2.5, "2.5"), ("2", "'2'")):
        with pytest.raises(ValueError, match=f"n must be a whole number from 1 to 6, not {said}"):
            suggest_measurements(space201, n, first)


def test_the_command_takes_a_file(space201, tmp_path, capsys):
    cells = space201.sample(80, seed=2).replace_columns({})
    flops = np.log(space201.flops_many(cells))
    table = cells.with_columns(mine=flops**2, other=flops, noise=np.random.default_rng(0).normal(size=80))
    write_parquet(table, tmp_path / "both.parquet")
    settings = {"members": 0, "statistics": "structure", "epochs": None, "seed": 0, "test_size": 40}
    file = str(tmp_path / "both.parquet")
    finetune(
        space="nasbench201", output_dir=tmp_path / "out", train_size=20, table=f"table={file}", model=None,
        field=["mine"], auxiliary=file, keep_labels=True, overwrite=False, **settings,
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "mine follows other" in said
    assert load_predictor(tmp_path / "out").facts["report"]["mine"]["kendall_tau"] > 0.9
