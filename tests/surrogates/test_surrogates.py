"""Surrogates, expected improvement and its bounds, networks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from cate_hf.core._parallel import num_threads, over_chunks
from cate_hf.surrogates._regression import BayesianLinearRegression
from cate_hf.surrogates.acquisition import log_expected_improvement, most_expected_improvement
from cate_hf.surrogates.dngo import Dngo
from cate_hf.surrogates.gp import GaussianProcess
from cate_hf.surrogates.network import Network, Training, fit_networks

SURROGATES = [lambda x, y: Dngo(seed=0).fit(x, y), GaussianProcess.fit]


def test_evidence_is_that_of_the_marginal_gaussian():
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(30, 4)), np.ones(30)])
    targets = features @ rng.normal(size=5) + 0.2 * rng.normal(size=30)
    fitted = BayesianLinearRegression.fit(features, targets)

    def log_evidence(alpha, beta):
        covariance = features @ features.T / alpha + np.eye(30) / beta
        return multivariate_normal(np.zeros(30), covariance).logpdf(targets)

    best = log_evidence(fitted.alpha, fitted.beta)
    for factor in (0.7, 0.9, 1.1, 1.4):
        assert log_evidence(fitted.alpha * factor, fitted.beta) < best
        assert log_evidence(fitted.alpha, fitted.beta * factor) < best
    precision = fitted.alpha * np.eye(5) + fitted.beta * features.T @ features
    covariance = fitted.vectors / fitted.precisions @ fitted.vectors.T
    np.testing.assert_allclose(covariance, np.linalg.inv(precision), rtol=1e-8)
    np.testing.assert_allclose(fitted.mean, fitted.beta * np.linalg.inv(precision) @ features.T @ targets, rtol=1e-8)
    assert (np.diff(fitted.precisions) <= 0).all()
    mean, deviation = fitted.predict(features[:3])
    np.testing.assert_allclose(mean, features[:3] @ fitted.mean)
    variance = np.diag(features[:3] @ covariance @ features[:3].T) + 1 / fitted.beta
    np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=1e-8)


def test_a_gaussian_process_is_the_conditional_gaussian_at_its_best_evidence():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(40, 3))
    targets = 0.9 + 0.02 * np.sin(2 * inputs[:, 0]) + 0.002 * rng.normal(size=40)
    fitted = GaussianProcess.fit(inputs, targets)
    y = (targets - targets.mean()) / targets.std()

    def covariance(a, b, length, signal):
        scaled = 5**0.5 * np.linalg.norm(a[:, None] - b[None], axis=2) / length
        return signal * (1 + scaled + scaled**2 / 3) * np.exp(-scaled)

    def log_evidence(length, signal, noise):
        full = covariance(inputs, inputs, length, signal) + noise * np.eye(40)
        return multivariate_normal(np.zeros(40), full).logpdf(y)

    found = fitted.length, fitted.signal, fitted.noise
    for which in range(3):
        for factor in (0.8, 1.25):
            other = [value * (factor if i == which else 1) for i, value in enumerate(found)]
            assert log_evidence(*other) < log_evidence(*found)
    new = rng.normal(size=(7, 3))
    full = covariance(inputs, inputs, *found[:2]) + fitted.noise * np.eye(40)
    cross = covariance(new, inputs, *found[:2])
    mean, deviation = fitted.predict(new)
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(full, y) * targets.std() + targets.mean(), rtol=1e-9)
    variance = fitted.signal + fitted.noise - np.einsum("nm,mn->n", cross, np.linalg.solve(full, cross.T))
    np.testing.assert_allclose(deviation, np.sqrt(variance) * targets.std(), rtol=1e-6)
    again = GaussianProcess.fit(inputs, targets, fitted.logs)  # warm: it is there already
    np.testing.assert_allclose(again.logs, fitted.logs, atol=1e-2)


@pytest.mark.parametrize("fit", SURROGATES)
def test_a_surrogate_predicts_what_it_was_fitted_to_and_doubts_what_is_far(fit):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(80, 8)).astype(np.float32)
    targets = 0.9 + 0.02 * np.tanh(inputs[:, 0] - inputs[:, 1])
    surrogate = fit(inputs, targets)
    mean, deviation = surrogate.predict(inputs)
    assert np.corrcoef(mean, targets)[0, 1] > 0.9
    far = surrogate.predict((inputs * 10).astype(np.float32))[1]
    assert np.median(far) > np.median(deviation)


@pytest.mark.parametrize("fit", SURROGATES)
def test_a_surrogate_is_safe_with_what_is_degenerate(fit):
    rng = np.random.default_rng(0)
    many = rng.normal(size=(1000, 8)).astype(np.float32)
    for inputs, targets in (
        (many, many[:, 0]),
        (many[:80], np.full(80, 0.9)),
        (np.repeat(many[:8], 10, axis=0), np.tile(many[:8, 0], 10)),  # the same points again and again
        (np.zeros((20, 3)), many[:20, 0]),
        (many[:1], np.array([0.9])),
        (1e6 + many[:50], 0.9 + 1e-9 * many[:50, 0]),
        (many[:50], np.where(np.arange(50) == 3, 1e9, 0.9)),
    ):
        mean, deviation = fit(inputs, targets).predict(inputs)
        assert np.isfinite(mean).all()
        assert (deviation > 0).all()
        assert np.isfinite(deviation).all()


@pytest.mark.parametrize("fit", SURROGATES)
@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    points=st.integers(1, 150),
    width=st.integers(1, 40),
    offset=st.sampled_from([0.0, 3.0, 1000.0]),
    target=st.sampled_from([0.95, 1.0, 2.0]),
    count=st.integers(1, 9),
)
def test_the_most_expected_improvement_is_that_of_all_in_float64(fit, seed, points, width, offset, target, count):
    rng = np.random.default_rng(seed)
    inputs = (offset + rng.normal(size=(700, width)) * rng.uniform(0.01, 2)).astype(np.float32)
    free = rng.random(700) < 0.9
    rows = rng.choice(700, points, replace=False)
    surrogate = fit(inputs[rows], 0.9 + 0.03 * np.tanh(inputs[rows, 0] - offset) + 0.005 * rng.normal(size=points))
    longest = 1.00001 * float(np.linalg.norm(inputs.astype(np.float64), axis=1).max())
    mean, deviation = surrogate.predict(inputs)
    upper = surrogate.upper_bounds(inputs, longest)
    assert (upper[0] >= mean).all()
    assert (upper[1] >= deviation).all()
    score = np.where(free, log_expected_improvement(mean, deviation, target), -np.inf)
    wanted = np.sort(score)[::-1][:count]
    found = most_expected_improvement(surrogate, inputs, free, count, target, longest)
    assert len(set(found)) == count
    assert free[found].all()
    np.testing.assert_allclose(score[found], wanted, rtol=1e-9)


def test_fewer_free_candidates_than_asked_for():
    inputs = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    surrogate = GaussianProcess.fit(inputs, inputs[:, 0])
    free = np.arange(30) >= 28
    assert sorted(most_expected_improvement(surrogate, inputs, free, 5, 1.0, 10.0)) == [28, 29]
    assert most_expected_improvement(surrogate, inputs, np.zeros(30, bool), 5, 1.0, 10.0) == []


def test_expected_improvement_is_the_integral():
    for mean, deviation in ((0.9, 0.05), (0.95, 0.02), (1.05, 0.03), (0.9, 0.01)):
        exact = quad(lambda f, m=mean, d=deviation: (f - 1.0) * norm.pdf(f, m, d), 1.0, mean + 12 * deviation)[0]
        value = log_expected_improvement(np.array([mean]), np.array([deviation]), 1.0)[0]
        assert value == pytest.approx(np.log(exact), rel=1e-4)
    tiny = log_expected_improvement(np.linspace(0.1, 0.9, 50), np.full(50, 1e-4), 1.0)
    assert np.isfinite(tiny).all()
    assert (np.diff(tiny) > 0).all()  # still ordered where the improvement itself underflows


@settings(deadline=None, max_examples=50)
@given(st.floats(-3, 3), st.floats(1e-9, 3), st.floats(0, 1), st.floats(0, 1))
def test_expected_improvement_grows_with_mean_and_deviation(mean, deviation, more_mean, more_deviation):
    less, more = log_expected_improvement(
        np.array([mean, mean + more_mean]), np.array([deviation, deviation + more_deviation]), 1.0
    )
    assert more >= less - 1e-9 * abs(less)


@pytest.mark.parametrize("activation", Training.activations)
def test_training_is_adamw_on_the_squared_error(activation):
    """The same steps by torch, from the same weights and in the same order."""
    import torch

    rng = np.random.default_rng(1)
    inputs, targets = rng.normal(size=(13, 5)).astype(np.float32), rng.normal(size=13)
    training = Training(7, 6, 4, 1e-2, 0.1, activation)
    fitted = Network.fit(inputs, targets, training, seed=3)
    rng = np.random.default_rng(3)
    weights = [rng.uniform(-(fan**-0.5), fan**-0.5, size) for fan, size in ((5, (5, 7)), (5, 7), (7, 7), (7, 1))]
    order = rng.permuted(np.tile(np.arange(13), (6, 1)), axis=1)
    parameters = [torch.tensor(w.astype(np.float32), requires_grad=True) for w in weights]
    x = torch.tensor(((inputs - inputs.mean(0)) / inputs.std(0)).astype(np.float32))
    y = torch.tensor(((targets - targets.mean()) / targets.std()).astype(np.float32))
    step = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1, eps=1e-8)
    for epoch in order:
        for start in range(0, 13, 4):
            rows = epoch[start : start + 4]
            hidden = getattr(torch, activation)(x[rows] @ parameters[0] + parameters[1])
            loss = (hidden @ parameters[2] + parameters[3] - y[rows]).square().mean()
            step.zero_grad()
            loss.backward()
            step.step()
    for ours, theirs in zip((fitted.w1, fitted.b1, fitted.w2, fitted.b2), parameters, strict=True):
        np.testing.assert_allclose(np.atleast_1d(ours), theirs.detach().numpy(), atol=2e-5)


def test_a_network_predicts_the_same_by_both_ways():
    rng = np.random.default_rng(0)
    inputs = (5 + rng.normal(size=(5000, 6))).astype(np.float32)
    network = Network.fit(inputs[:60], inputs[:60, 0] ** 2, Training(16, 50), seed=0)
    exact = network.hidden(inputs) @ network.w2.astype(np.float64) + network.b2
    np.testing.assert_allclose(network.predict(inputs), exact * network.target_scale + network.target_mean, rtol=1e-4)
    assert np.corrcoef(network.predict(inputs), inputs[:, 0] ** 2)[0, 1] > 0.8
    with pytest.raises(ValueError, match="activation must be one of tanh, relu, not 'gelu'"):
        Training(activation="gelu")


def test_an_ensemble_does_not_depend_on_the_number_of_threads(monkeypatch):
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(40, 6)).astype(np.float32), rng.normal(size=40)
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("CATE_HF_THREADS", threads)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr("cate_hf.core._parallel.available_processors", lambda: 2)
        assert num_threads() == int(threads)
        ensemble = fit_networks(inputs, targets, Training(8, 5), [1, 2, 3])
        results.append([network.predict(np.tile(inputs, (200, 1))) for network in ensemble])
    np.testing.assert_array_equal(*results)
    assert not np.array_equal(results[0][0], results[0][1])


def test_chunks_come_back_in_order_and_the_first_error_is_raised(monkeypatch):
    monkeypatch.setattr("cate_hf.core._parallel.num_threads", lambda: 3)
    assert over_chunks(lambda part: (part.start, part.stop), 10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert over_chunks(lambda part: 1, 0, 4) == []

    def fail(part):
        raise ValueError(f"chunk at {part.start}")

    with pytest.raises(ValueError, match="chunk at"):
        over_chunks(fail, 10, 2)
