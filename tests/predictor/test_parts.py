"""Simple parts of predictors: what carries one, spaces without an encoder, and pairs of cells."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.stats import kendalltau

from cate_hf import Architecture, get_space, load_predictor
from cate_hf.predictor import fit_predictor
from cate_hf.predictor._combine import Combination
from cate_hf.predictor.files import PREDICTOR_FILE
from cate_hf.spaces.custom.custom_space import CustomSpace


@pytest.fixture(scope="module")
def chains():
    """A space of chains with skips, 400 of its architectures, and values that depend on which nodes are joined."""
    space = CustomSpace(name="chains", operations=["a", "b", "c"], nodes=7, edges=[6, 21])
    rng = np.random.default_rng(0)
    cells = []
    for _ in range(400):
        names = ["input", *rng.choice(["a", "b", "c"], 5), "output"]
        cells.append(Architecture(names, np.triu(rng.random((7, 7)) < 0.4, 2) | np.eye(7, k=1, dtype=bool)))
    table = space.table(cells)
    weights = np.triu(rng.normal(size=(7, 7)), 2)
    score = (table.adjacency() * weights).sum((1, 2)) + 0.3 * rng.normal(size=400)
    return space, table, 0.8 + 0.15 / (1 + np.exp(-score))


@pytest.fixture(scope="module")
def of_chains(chains):
    space, table, values = chains
    return fit_predictor(table[:120], values[:120], space=space, members=0)


def test_a_space_without_a_checkpoint_is_carried_by_its_wiring(chains, of_chains):
    _, table, values = chains
    predicted = kendalltau(of_chains.predict(table[120:])[0], values[120:])[0]
    parts, _ = of_chains.parts(of_chains.table(table[120:]))
    alone = {
        name: kendalltau(part[:, 0], values[120:])[0] for name, part in zip(of_chains.part_names, parts, strict=True)
    }
    assert alone["trees"] < predicted - 0.1  # statistics alone do not tell which nodes are joined
    assert predicted > max(alone.values()) - 0.02
    (found,) = of_chains.report().values()
    assert found["carried_by"] in ("wiring_ridge", "wiring_process", "all_ridge", "all_process")
    assert sum(part["share"] for part in found["parts"].values()) == pytest.approx(1, abs=1e-3)
    assert found["parts"]["wiring_ridge"]["kendall_tau"] > found["parts"]["trees"]["kendall_tau"]


def test_drawings_are_predicted_alike(chains, of_chains):
    from cate_hf.experiments._geometry import redraw

    _, table, _ = chains
    rng = np.random.default_rng(0)
    drawn = [redraw(cell, 1, rng) for cell in table[:50]]
    np.testing.assert_allclose(of_chains.predict(drawn)[0], of_chains.predict(table[:50])[0], rtol=1e-12)


def test_a_space_without_a_checkpoint_has_the_universal_encoder(chains, tmp_path):
    space, table, values = chains
    with pytest.warns(UserWarning, match="no checkpoint is bundled for chains: encoded by 'universal'") as told:
        predictor = fit_predictor(table[:60], values[:60], space=space, wiring=False)
    assert told[0].filename == __file__
    (found,) = predictor.report().values()
    assert found["note"] == "the encoder 'universal' is not fine-tuned: simple parts on it alone"
    assert "encoding:235" in predictor.features.names
    predicted = predictor.predict(table[60:])[0]
    without = fit_predictor(table[:60], values[:60], space=space, wiring=False, members=0).predict(table[60:])[0]
    assert kendalltau(predicted, values[60:])[0] > kendalltau(without, values[60:])[0] + 0.1
    folder = predictor.save(tmp_path / "saved")
    again = load_predictor(folder)
    np.testing.assert_allclose(again.predict(table[60:])[0], predicted, rtol=1e-5)
    assert again.facts["encoder"] == "universal"
    with safe_open(folder / PREDICTOR_FILE, "np") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["predictor"])
    save_file(tensors, folder / PREDICTOR_FILE, {"predictor": json.dumps(about | {"encoder": "universal-0"})})
    with pytest.raises(ValueError, match="made with the encoder 'universal-0', this version has universal-"):
        load_predictor(folder)
    with pytest.raises(ValueError, match="'universal' cannot be fine-tuned"):
        fit_predictor(table[:20], values[:20], space=space, encoder="universal", members=2)
    with pytest.raises(ValueError, match="'universal' is of no space"):
        fit_predictor(table[:20], values[:20], encoder="universal")


def test_members_of_a_space_without_a_checkpoint_are_refused(chains):
    space, table, values = chains
    with pytest.raises(ValueError, match="no checkpoint is bundled for chains.* members=0 for simple parts alone"):
        fit_predictor(table[:20], values[:20], space=space, members=2)


def test_files_of_before_predict_the_same(space, cells, accuracies, encoder, tmp_path):
    """Written before there were other parts than one Gaussian process and one forest."""
    predictor = fit_predictor(cells[:30], accuracies[:30], encoder=encoder, members=1, epochs=1, wiring=False)
    predictor.simple = {name: predictor.simple[name] for name in ("process", "trees")}
    for combination in predictor.combinations:
        object.__setattr__(combination, "weights", combination.weights[:3])
    folder = predictor.save(tmp_path / "old")
    with safe_open(folder / PREDICTOR_FILE, "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        about = json.loads(file.metadata()["predictor"])
    for name in ("parts", "cells"):
        about.pop(name)
    for name in ("parts", "missing"):
        about["facts"].pop(name)
    save_file(tensors, folder / PREDICTOR_FILE, {"predictor": json.dumps(about)})
    again = load_predictor(folder, device="cpu")
    assert again.part_names == ["members", "process", "trees"]
    np.testing.assert_allclose(again.predict(cells)[0], predictor.predict(cells)[0], rtol=1e-6)
    assert again.report()["accuracy"]["parts"]["trees"]["kendall_tau"] is None


def test_without_members_the_encoder_is_kept(cells, accuracies, encoder, tmp_path):
    predictor = fit_predictor(cells[:30], accuracies[:30], encoder=encoder, members=0)
    again = load_predictor(predictor.save(tmp_path / "frozen"), device="cpu")
    np.testing.assert_allclose(again.predict(cells)[0], predictor.predict(cells)[0], rtol=1e-5)


def test_shares_follow_labels_held_out_and_few_of_them_less():
    rng = np.random.default_rng(0)
    for count, most_of_bad in ((400, 0.1), (10, 0.6)):
        wanted = rng.normal(size=count)
        parts = np.stack([wanted + 0.3 * rng.normal(size=count), rng.normal(size=count)])
        found = Combination.fit(parts, np.zeros(count), wanted, wanted)
        share = found.weights * parts.std(1)
        assert (share >= 0).all()
        assert share[1] / share.sum() < most_of_bad
    many = [rng.normal(size=20) for _ in range(2)]
    starts = Combination.fit(np.stack(many), np.zeros(20), rng.normal(size=20), rng.normal(size=20), False, [0.5, 0.0])
    share = starts.weights * np.std(many, axis=1)
    assert share[0] > share[1]


def test_pairs_of_cells_are_architectures_like_any_other(tmp_path):
    darts = get_space("darts")
    normal, reduction = (darts.sample(60, seed=seed) for seed in (1, 2))
    pairs = darts.pairs([type(darts.pair(a))(a, b) for a, b in zip(normal, reduction, strict=True)])
    values = 0.9 + 0.01 * np.log(darts.flops_many(normal) / 1e8) + 0.02 * np.log(darts.flops_many(reduction) / 1e8)
    values = 0.5 + 0.4 * (values - values.min()) / np.ptp(values)
    predictor = fit_predictor(pairs[:40], values[:40], space=darts, encoder=None, gp=True)
    mean = predictor.predict(pairs[40:])[0]
    assert kendalltau(mean, values[40:])[0] > 0.4
    np.testing.assert_array_equal(predictor.predict(list(pairs[40:]))[0], mean)
    assert predictor.predict(pairs[40])[0] == pytest.approx(mean[0])
    swapped = darts.pairs([type(pairs[0])(pair.reduction, pair.normal) for pair in pairs[40:]])
    assert not np.allclose(predictor.predict(swapped)[0], mean)
    best = predictor.top_k(3, pairs[40:])
    np.testing.assert_array_equal(best.columns["predicted"], np.sort(mean)[::-1][:3])
    again = load_predictor(predictor.save(tmp_path / "pairs"), device="cpu")
    np.testing.assert_allclose(again.predict(pairs[40:])[0], mean, rtol=1e-5)
    assert len(predictor.update(pairs[35:50], values[35:50]).labels) == 50
    both = darts.pairs([type(pairs[0])(cell, cell) for cell in normal[:3]])
    np.testing.assert_allclose(predictor.predict(normal[:3])[0], predictor.predict(both)[0])
    with pytest.raises(ValueError, match="not fine-tuned on pairs of cells"):
        fit_predictor(pairs[:40], values[:40], space=darts, members=2)
    with pytest.raises(ValueError, match="row 1: expected a pair of cells, got Architecture"):
        fit_predictor([pairs[0], normal[0], *pairs[2:9]], values[:9], space=darts)
    with pytest.raises(ValueError, match="pairs of cells are of darts, not of nasbench101"):
        fit_predictor(pairs[:9], values[:9], space="nasbench101", members=0)
