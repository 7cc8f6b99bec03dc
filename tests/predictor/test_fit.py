import copy

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from cate_hf import Architecture, get_space
from cate_hf.predictor import fit_predictor
from cate_hf.predictor.members import (
    MemberSettings,
    batches,
    checked_training,
    left_out,
    make_members,
    ranking_loss,
    train_members,
)
from cate_hf.predictor.report import report


def test_it_ranks_cells_that_it_has_not_seen(fitted, cells, accuracies):
    mean, deviation = fitted.predict(cells[60:])
    true = accuracies[60:]
    assert mean.shape == deviation.shape == (100,)
    assert kendalltau(mean, true)[0] > 0.6
    assert ((mean > 0.8) & (mean < 1)).all()
    assert (deviation > 0).all()
    latency = fitted.predict(cells[60:], "latency")[0]
    assert kendalltau(latency, -true)[0] > 0.6
    best = fitted.rank(cells[60:])
    assert (np.diff(mean[best]) <= 0).all()
    assert (np.diff(latency[fitted.rank(cells[60:], "latency")]) >= 0).all()


def test_intervals_hold_what_they_say(cells, accuracies, space):
    predictor = fit_predictor(cells[:80], accuracies[:80], space=space, members=0)
    measured = report(predictor, cells[80:], accuracies[80:])["accuracy"]
    assert measured["rows"] == 80
    assert measured["coverage_50"] >= 0.35
    assert measured["coverage_90"] >= 0.75
    assert measured["coverage_90"] > measured["coverage_50"]
    low, high = predictor.interval(cells[80:], 0.5)
    wide_low, wide_high = predictor.interval(cells[80:], 0.9)
    assert ((wide_low <= low) & (low < high) & (high <= wide_high)).all()


def test_equal_arguments_give_an_equal_predictor(fitted, encoder, cells, accuracies):
    def again(seed):
        labels = {"accuracy": accuracies[:60], "latency": 2.0 - accuracies[:60]}
        return fit_predictor(cells[:60], labels, encoder=encoder, members=2, epochs=6, seed=seed).predict(cells[60:])[0]

    expected = fitted.predict(cells[60:])[0]
    assert np.array_equal(again(1), expected)
    assert not np.array_equal(again(2), expected)


def test_members_trained_together_are_those_trained_alone(encoder, cells, accuracies):
    inputs = encoder.tokenizer(cells[:24], return_tensors="pt")
    wanted = (accuracies[:24, None] - 0.9) / 0.03
    absent = left_out(24, 3, np.random.default_rng(0))
    settings = MemberSettings(members=3, epochs=3).for_labels(24)
    together = make_members(encoder.model, 3, 1, seed=0)
    train_members(together, inputs, wanted, absent, settings, seed=0)
    orders = batches(absent, 3, settings.batch, 0)
    alone = make_members(encoder.model, 3, 1, seed=0)[2]
    before = alone.classifier.weight.detach().clone()
    order = orders[:, 2:]

    import cate_hf.predictor.members as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "batches", lambda *_: order)
        train_members([alone], inputs, wanted, absent[2:], settings, seed=0)
    assert not torch.allclose(alone.classifier.weight, before)
    for a, b in zip(alone.state_dict().values(), together[2].state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)


def test_an_encoder_with_dropout_is_fine_tuned_without(encoder, cells, accuracies):
    assert encoder.model.config.hidden_dropout_prob == 0
    model = copy.deepcopy(encoder.model)
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.3
    dropping = type(model)(model.config)  # whose modules know it
    dropping.load_state_dict(model.state_dict())
    inputs = encoder.tokenizer(cells[:24], return_tensors="pt")
    absent, settings = left_out(24, 2, np.random.default_rng(0)), MemberSettings(members=2, epochs=2).for_labels(24)
    states = []
    for given in (encoder.model, dropping):
        models = make_members(given, 2, 1, seed=0)
        train_members(models, inputs, (accuracies[:24, None] - 0.9) / 0.03, absent, settings, seed=0)
        states.append(models[1].state_dict())
    for a, b in zip(*(state.values() for state in states), strict=True):
        torch.testing.assert_close(a, b)
    assert models[0].config.hidden_dropout_prob == 0.3


def test_scores_that_differ_as_the_labels_do_have_the_least_ranking_loss():
    labels = torch.tensor([[0.3, 5.0], [0.1, 1.0], [-1.0, 2.0], [0.3, 3.0]], dtype=torch.float64)
    scores = (labels / 0.5 + 7.0).requires_grad_()
    loss = ranking_loss(scores, labels, temperature=0.5)
    loss.backward()
    torch.testing.assert_close(scores.grad, torch.zeros_like(scores))
    a, b = scores.detach().flip(0), labels.flip(0)
    torch.testing.assert_close(ranking_loss(a, b, 0.5), loss.detach())
    assert ranking_loss(-scores, labels, 0.5) > loss
    # By hand, of two: log(1 + e^-m) where the first ranks above the second, m the margin.
    pair, above = torch.tensor([[1.0], [0.4]]), torch.tensor([[2.0], [1.0]])
    expected = torch.log1p(torch.exp(torch.tensor(-0.6)))
    torch.testing.assert_close(ranking_loss(pair, above, 0.0), expected)
    ties = torch.log(torch.tensor(2.0)) / 2  # of each with itself, half of all pairs
    torch.testing.assert_close(ranking_loss(pair, above, 1e-3), expected / 2 + ties)


def test_settings_of_training_that_there_are_not():
    assert checked_training({"encoder_rate": 1}) == {"encoder_rate": 1.0}
    for wrong, message in (
        ({"encoder_rates": 1e-3}, "did you mean 'encoder_rate'"),
        ({"members": 3}, "unknown training setting 'members'"),
        ({"head_rate": -1.0}, "head_rate: expected a number from 0, not -1.0"),
        ({"weight_decay": float("nan")}, "weight_decay: expected a number"),
        ({"ranking_weight": 0, "regression_weight": 0.0}, "both 0; there is nothing to learn"),
        ([1e-3], "must be a mapping"),
    ):
        with pytest.raises(ValueError, match=message):
            checked_training(wrong)


def test_a_member_never_sees_what_it_left_out():
    absent = left_out(50, 3, np.random.default_rng(0))
    assert (absent.sum(0) <= 1).all()
    assert (absent.sum(1) == absent[0].sum()).all()
    order = batches(absent, epochs=4, batch=16, seed=0)
    for member in range(3):
        assert not absent[member, order[:, member]].any()
        counts = np.bincount(order[:, member].ravel(), minlength=50)
        assert counts.max() <= 4


def test_isomorphic_labels_are_averaged(space, cells, accuracies):
    cell = Architecture(
        ["input", "conv3x3-bn-relu", "conv1x1-bn-relu", "output"],
        [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
    )
    mirrored = Architecture(
        ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "output"],
        [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
    )
    given = [*cells[:10], cell, mirrored]
    with pytest.warns(UserWarning, match=r"1 labelled architecture is isomorphic .*row 11 to row 10"):
        predictor = fit_predictor(given, [*accuracies[:10], 0.80, 0.90], space=space, members=0, gp=False)
    assert len(predictor.labels) == 11
    assert predictor.labels.columns["accuracy"][10] == pytest.approx(0.85)


def test_bad_input_is_told(space, cells, accuracies, encoder):
    def fit(archs, values, **options):
        return fit_predictor(archs, values, **({"space": space, "members": 0} | options))

    with pytest.raises(ValueError, match="4 labelled architectures; a predictor needs at least 5"):
        fit(cells[:4], accuracies[:4])
    with pytest.raises(ValueError, match=r"all 9 are 0.9; there is nothing to learn"):
        fit(cells[:9], np.full(9, 0.9))
    with pytest.raises(ValueError, match="row 2: NaN"):
        fit(cells[:9], np.where(np.arange(9) == 2, np.nan, accuracies[:9]))
    with pytest.raises(ValueError, match="in per cent; give all in one unit"):
        fit(cells[:9], np.where(np.arange(9) == 2, 91.0, accuracies[:9]))
    with pytest.raises(ValueError, match=r"the predictor is of nasbench101"):
        fit(get_space("nasbench201").sample(9, seed=0), accuracies[:9])
    with pytest.raises(ValueError, match="the encoder is of nasbench101, not of nasbench201"):
        fit_predictor(cells[:9], accuracies[:9], encoder=encoder, space="nasbench201")
    with pytest.raises(ValueError, match="did you mean 'structure'"):
        fit(cells[:9], accuracies[:9], statistics="structur")
    with pytest.raises(ValueError, match="members must be at least 1"):
        fit(cells[:9], accuracies[:9], trees=False)
    with pytest.raises(ValueError, match="give the architectures' search space"):
        fit_predictor(cells[:9], accuracies[:9])
    with pytest.raises(ValueError, match="architectures"):
        fit(cells[:9], accuracies[:8])
    with pytest.raises(
        ValueError, match="row 1: 'cell' is neither a nasbench101 architecture, nor JSON of one, nor a hash"
    ):
        fit([cells[0], "cell", *cells[2:9]], accuracies[:9])


def test_updating_learns_more(fitted, encoder, cells, accuracies):
    predictor = fit_predictor(cells[:30], accuracies[:30], encoder=encoder, members=2, epochs=4)
    held_out = [set(rows) for rows in predictor.facts["folds"]]
    before = predictor.predict(cells[100:])[0]
    assert predictor.update(cells[25:60], accuracies[25:60]) is predictor
    assert len(predictor.labels) == 60
    for old, new in zip(held_out, predictor.facts["folds"], strict=True):
        assert old <= set(new)
    after = predictor.predict(cells[100:])[0]
    assert not np.array_equal(before, after)
    assert np.corrcoef(after, accuracies[100:])[0, 1] > 0.3 or kendalltau(after, accuracies[100:])[0] > 0.6
    with pytest.raises(ValueError, match="this predictor has accuracy"):
        predictor.update(cells[60:70], {"latency": accuracies[60:70]})


def test_an_update_that_is_interrupted_changes_nothing(encoder, cells, accuracies, monkeypatch):
    predictor = fit_predictor(cells[:20], accuracies[:20], encoder=encoder, members=1, epochs=2)
    before = predictor.predict(cells[100:])[0]

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cate_hf.predictor._simple.Trees.fit", interrupted)  # after the members' training
    with pytest.raises(KeyboardInterrupt):
        predictor.update(cells[20:30], accuracies[20:30])
    assert np.array_equal(predictor.predict(cells[100:])[0], before)
    assert len(predictor.labels) == predictor.facts["labels"] == 20


def test_top_k_is_the_best_of_all(fitted, cells):
    mean, deviation = fitted.predict(cells)
    best = fitted.top_k(5, cells, screened=None)
    order = np.argsort(-mean, kind="stable")[:5]
    assert np.array_equal(best.columns["predicted"], mean[order])
    assert np.array_equal(best.columns["deviation"], deviation[order])
    screened = fitted.top_k(5, cells, screened=40, features=fitted.features(cells))
    assert len(screened) == 5
    assert screened.columns["predicted"].max() <= mean.max() + 1e-9
    with pytest.raises(ValueError, match="from 1 to 160"):
        fitted.top_k(161, cells)
    with pytest.raises(ValueError, match="features must be"):
        fitted.predict(cells, features=np.zeros((160, 2)))
    with pytest.raises(ValueError, match="unknown target 'latencies'; did you mean 'latency'"):
        fitted.predict(cells, "latencies")
