"""Optuna studies that search architectures: nothing twice, several processes, resumed, other parameters beside."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from cate_hf import get_space

optuna = pytest.importorskip("optuna")
from cate_hf.integrations.optuna import ArchitectureSampler  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
SPACE = get_space("nasbench201")
CANDIDATES = SPACE.sample(200, seed=0)
VALUES = (CANDIDATES.operation_codes == SPACE.vocabulary.index("nor_conv_3x3")).sum(1) + CANDIDATES.num_nodes / 100
ROW = {h: row for row, h in enumerate(CANDIDATES.columns["hash"])}


def sampler(algorithm="regularized-evolution", **settings):
    return ArchitectureSampler(SPACE, algorithm, "adjacency", CANDIDATES, **settings)


def objective_of(search):
    def objective(trial):
        cell = search.suggest(trial)
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        return VALUES[ROW[SPACE.hash(cell)]] - abs(np.log10(rate) + 2)

    return objective


def rows_of(study):
    return [trial.params["architecture"] for trial in study.trials]


@pytest.mark.parametrize("algorithm", ["random", "regularized-evolution", "bo-gp"])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_study_finds_better_ones_and_asks_none_twice(algorithm, direction):
    search = sampler(algorithm)
    study = optuna.create_study(direction=direction, sampler=search)
    sign = 1 if direction == "maximize" else -1
    study.optimize(lambda trial: sign * objective_of(search)(trial), n_trials=40)
    assert len(set(rows_of(study))) == 40
    assert {"rate", "architecture"} == set(study.best_trial.params)
    best = search.architecture(study.best_trial)
    assert study.best_trial.user_attrs["architecture_hash"] == SPACE.hash(best)
    if algorithm != "random":
        found = VALUES[rows_of(study)]
        assert found[20:].mean() > found[:20].mean()


def test_failed_pruned_and_running_trials_are_not_asked_again():
    search = sampler(settings={"population": 4, "tournament": 2})
    study = optuna.create_study(direction="maximize", sampler=search)

    def objective(trial):
        search.suggest(trial)
        if trial.number % 3 == 1:
            raise RuntimeError("no memory")
        if trial.number % 3 == 2:
            raise optuna.TrialPruned
        return float(trial.number)

    open_trials = [study.ask() for _ in range(3)]
    running = [ROW[SPACE.hash(search.suggest(trial))] for trial in open_trials]
    study.optimize(objective, n_trials=60, catch=(RuntimeError,))
    assert not set(running) & set(rows_of(study)[3:])
    assert len(set(rows_of(study))) == 63
    optimizer = search._optimizer(study, study.trials[-1], set())
    told = dict(zip(optimizer.rows, optimizer.values, strict=True))
    finished = [t.value for t in study.trials[:-1] if t.state == optuna.trial.TrialState.COMPLETE]
    for trial in study.trials[3:-1]:
        value = told[trial.params["architecture"]]
        if trial.state == optuna.trial.TrialState.PRUNED:
            assert value == min(finished)
        else:
            assert np.isnan(value) if trial.state == optuna.trial.TrialState.FAIL else value == trial.value


def test_studies_of_neighbouring_seeds_draw_differently():
    drawn = []
    for seed in range(4):
        search = sampler("random", seed=seed)
        study = optuna.create_study(sampler=search)
        study.optimize(objective_of(search), n_trials=20)
        drawn.append(set(rows_of(study)))
    assert all(len(drawn[i] & drawn[j]) < 10 for i in range(4) for j in range(i))  # of 200, 2 by chance


WORKER = """
import sys, optuna
from tests.integrations.test_optuna import objective_of, sampler
optuna.logging.set_verbosity(optuna.logging.ERROR)
search = sampler("random", seed=0)
storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(sys.argv[1]))
study = optuna.create_study(study_name="s", storage=storage, direction="maximize", sampler=search, load_if_exists=True)
study.optimize(objective_of(search), n_trials=40)
"""


def test_two_processes_on_one_storage_ask_none_twice_and_a_study_goes_on(tmp_path):
    path = tmp_path / "journal.log"
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(path)]) for _ in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    search = sampler("random", seed=0)
    study = optuna.load_study(study_name="s", storage=storage, sampler=search)
    assert len(study.trials) == 80
    study.optimize(objective_of(search), n_trials=5)
    assert len(set(rows_of(study))) == 85
    other = ArchitectureSampler(SPACE, "random", candidates=CANDIDATES[:100])
    with pytest.raises(ValueError, match="is of other candidates"):
        optuna.load_study(study_name="s", storage=storage, sampler=other).optimize(objective_of(other), n_trials=1)


def test_threads_ask_none_twice_and_the_end_is_told():
    search = ArchitectureSampler(SPACE, "random", candidates=CANDIDATES[:30])
    study = optuna.create_study(direction="maximize", sampler=search)
    study.optimize(objective_of(search), n_trials=30, n_jobs=4)
    assert sorted(rows_of(study)) == list(range(30))
    with pytest.raises(ValueError, match="all 30 candidates have been given out"):
        study.optimize(objective_of(search), n_trials=1)


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match="steps cannot be open"):
        sampler("local-search", settings={"perturb": "open"})
    with pytest.raises(ValueError, match="unknown search algorithm"):
        sampler("annealing")
    with pytest.raises(ValueError, match="did you mean 'nasbench201'"):
        ArchitectureSampler("nasbench20l")
    with pytest.raises(ValueError, match="row 1"):
        ArchitectureSampler(SPACE, "random", candidates=[SPACE.native(CANDIDATES[0]), "|none~0|"])
    as_texts = ArchitectureSampler(SPACE, "random", candidates=[SPACE.native(CANDIDATES[row]) for row in (0, 1, 0)])
    assert list(as_texts.candidates.columns["hash"]) == list(CANDIDATES.columns["hash"][:2])
    search = sampler("random")
    without = optuna.create_study(study_name="without")
    with pytest.raises(ValueError, match="study 'without' samples by TPESampler, not by this sampler; give it"):
        without.optimize(objective_of(search), n_trials=1)
    other = ArchitectureSampler(SPACE, "random", candidates=CANDIDATES[:100])
    with pytest.raises(ValueError, match="samples by ArchitectureSampler, not by this sampler"):
        optuna.create_study(sampler=other).optimize(objective_of(search), n_trials=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may change in the future
        partly = optuna.samplers.PartialFixedSampler({"rate": 1e-2}, search)
    fixed = optuna.create_study(sampler=partly)
    fixed.enqueue_trial({"architecture": 3})
    fixed.optimize(objective_of(search), n_trials=2)
    assert rows_of(fixed)[0] == 3
    assert search.suggest(optuna.trial.FixedTrial({"architecture": 3})) == CANDIDATES[3]
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=search)
    with pytest.raises(ValueError, match="2 objectives"):
        study.optimize(lambda trial: (0.0, float(search.suggest(trial).num_edges)), n_trials=1)
    plain = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(ValueError, match="trial 0 has no parameter 'architecture'"):
        search.architecture(plain.best_trial)
