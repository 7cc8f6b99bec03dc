import numpy as np
import pytest

from tests.search.searches import go_on, optimizer, synthetic

SMALL = {"initial": 8, "proposed": 4, "screened": 20}


@pytest.mark.parametrize("predictors", ["fixed", "trees"])
def test_it_finds_better_candidates_than_chance_does(predictors):
    values = synthetic()
    search = go_on(optimizer("cate-predictor", SMALL | {"predictors": predictors}), 24, values)
    told = values[search.rows]
    assert told[8:].mean() > told[:8].mean() + 0.02
    assert len(set(search.rows)) == 24


def test_fine_tuned_encoders_change_what_is_asked_and_equal_seeds_ask_the_same():
    def asked(predictors):
        return go_on(optimizer("cate-predictor", SMALL | {"predictors": predictors}), 16).rows

    first = asked("ensemble")
    assert first == asked("ensemble")
    assert first[8:] != asked("fixed")[8:]


def test_a_space_without_a_checkpoint_is_told(monkeypatch):
    monkeypatch.setattr("cate_hf.hub.checkpoints.checkpoint_names", lambda: ["other"])
    with pytest.raises(ValueError, match="no checkpoint is bundled for nasbench101, only for other"):
        optimizer("cate-predictor", SMALL | {"predictors": "ensemble"})


def test_neighbours_of_the_best_are_among_what_is_looked_at():
    search = go_on(optimizer("cate-predictor", SMALL | {"predictors": "trees", "parents": 3}), 8)
    rows, values = search._observed()
    best = rows[np.argmax(values)]
    steps = search._steps_from(int(best))
    wanted = np.zeros((len(rows), 1))
    pool, functions = search._screen(search._seen(rows), wanted, rows, values, 0)
    assert np.isin(steps, pool).all()
    assert functions.shape == (4, len(pool))
    assert not np.isin(rows, pool).any()
