import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf.search import parse_algorithm
from cate_hf.search._cate_predictor import normal_scores
from cate_hf.surrogates.gp import GaussianProcess, screening_means
from tests.search.searches import ENCODINGS, go_on, optimizer, synthetic

SMALL = {"initial": 8, "proposed": 4, "screened": 20, "liked": 30}


@pytest.mark.parametrize("predictors", ["fixed", "trees"])
def test_it_finds_better_candidates_than_chance_does(predictors):
    values = synthetic()
    search = go_on(optimizer("cate-predictor", SMALL | {"predictors": predictors}), 24, values)
    told = values[search.rows]
    assert told[8:].mean() > told[:8].mean() + 0.02
    assert len(set(search.rows)) == 24


@pytest.mark.long
def test_fine_tuned_encoders_change_what_is_asked_and_equal_seeds_ask_the_same():
    def asked(predictors):
        return go_on(optimizer("cate-predictor", SMALL | {"predictors": predictors}), 16).rows

    first = asked("ensemble")
    assert first == asked("ensemble")
    assert first[8:] != asked("fixed")[8:]


def test_a_space_without_a_checkpoint_is_told(monkeypatch):
    monkeypatch.setattr("cate_hf.hub._layout.checkpoint_names", lambda: ["other"])
    with pytest.raises(ValueError, match="no checkpoint is bundled for nasbench101, only for other"):
        optimizer("cate-predictor", SMALL | {"predictors": "ensemble"})


@pytest.mark.parametrize("predictors", ["fixed", "trees"])
def test_proposals_are_of_the_liked_and_of_the_neighbours_of_the_best(predictors):
    search = go_on(optimizer("cate-predictor", SMALL | {"predictors": predictors, "parents": 3}), 8)
    rows, values = search._observed()
    models = search._fit(rows, values, 0)
    pool = search._screen(models, rows, values)
    assert np.isin(search._steps_from(int(rows[np.argmax(values)])), pool).all()
    assert not np.isin(rows, pool).any()
    free = np.flatnonzero(search._is_free())
    for model in models:
        mean, deviation = search._predict(model, free)
        assert np.isin(free[np.argsort(-mean)[:20]], pool).all()
        assert (deviation >= 0).all()


def test_all_candidates_are_predicted_again_after_so_many_values():
    search = optimizer("cate-predictor", SMALL | {"refresh": 10, "liked": 5})
    values, refreshed = synthetic(), []
    for count in (12, 16, 20, 24, 28, 32):  # a round each
        go_on(search, count, values)
        refreshed.append(search._refreshed)
    assert refreshed[0] == refreshed[1] < refreshed[-1]
    assert len(set(refreshed)) in (2, 3)


def test_without_exploration_the_highest_mean_of_a_predictor_is_asked_for():
    search = optimizer("cate-predictor", SMALL | {"exploration": 0.0})
    pool = np.arange(4)
    functions = [(np.array([1.0, 3, 2, 0]), np.full(4, 9.0)), (np.array([0.0, 1, 2, 3]), np.arange(4.0))]
    assert {search._sample(pool, functions)[0] for _ in range(40)} == {1, 3}
    search = optimizer("cate-predictor", SMALL | {"exploration": 50.0})
    assert {search._sample(pool, functions[1:] * 2)[0] for _ in range(40)} == {3}
    uncertain = [(np.array([1.0, 1.1, 1.2, 0]), np.array([0, 0, 0, 1.0]))]
    assert {search._sample(pool, uncertain)[0] for _ in range(40)} == {2, 3}


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=30))
def test_normal_scores_depend_on_ranks_alone(values):
    values = np.array(values)
    scores = normal_scores(values)
    np.testing.assert_array_equal(scores, normal_scores(np.unique(values, return_inverse=True)[1]))
    assert (np.sign(scores[:, None] - scores) == np.sign(values[:, None] - values)).all()
    np.testing.assert_allclose(scores, -normal_scores(-values), atol=1e-12)


def test_screening_by_several_processes_is_their_means():
    rng = np.random.default_rng(0)
    values = [synthetic()[:40], rng.normal(size=40)]
    processes = [GaussianProcess.fit(ENCODINGS[:40], v) for v in values]
    for process, mean in zip(processes, screening_means(processes, ENCODINGS), strict=True):
        expected = (process.mean(ENCODINGS) - process.target_mean) / process.target_scale
        np.testing.assert_allclose(mean, expected, atol=2e-3)


def test_structural_statistics_are_computed_once_for_trials_of_the_same_candidates(monkeypatch):
    from cate_hf.search import _cate_predictor as cate_predictor

    calls = []
    monkeypatch.setattr(cate_predictor, "_structures", type(cate_predictor._structures)())
    monkeypatch.setattr(
        cate_predictor, "structure", lambda space, table: calls.append(len(table)) or np.ones((len(table), 2))
    )
    first, second = optimizer("cate-predictor", SMALL), optimizer("cate-predictor", SMALL, seed=1)
    second.candidates = first.candidates
    np.testing.assert_array_equal(first._seen(), second._seen())
    assert calls == [300]


def test_the_mean_leads_where_a_value_was_lucky():
    search = optimizer("cate-predictor", SMALL | {"leader": "mean"})
    with pytest.raises(ValueError, match="nothing has been told"):
        search.best_row()
    search._features = np.linspace(-1, 1, 300, dtype=np.float32)[:, None]
    search._logs = [[0.0, 0.0, np.log(0.3)]] * 2
    for row in range(0, 300, 5):
        search.tell_row(row, 0.9 - 0.1 * abs(row - 200) / 300 + 0.2 * (row == 30))
    assert abs(search.best_row() - 200) <= 15
    search.settings["leader"] = "value"
    assert search.best_row() == 30
    assert parse_algorithm("cate-predictor/mean")[1] == {"leader": "mean"}
