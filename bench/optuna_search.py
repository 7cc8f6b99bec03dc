"""Regret of Optuna studies: architectures by their encodings, and as one writes them without this package.

    .venv/bin/python bench/optuna_search.py [--space nasbench201 | nasbench-graph] [--trials 100] [--seeds 10]

The benchmark that needs no file, its own field. Regret in percentage points after 25, 50 and all trials, mean ±
standard error over the seeds; seconds a study. NAS-Bench-201 without this package is a category an edge; architectures
of the other space are drawn at random.
"""

import argparse
import time

import numpy as np
import optuna

from cate_hf import get_space, load_benchmark
from cate_hf.integrations.optuna import ArchitectureSampler

SEARCHES = (
    ("cate-predictor", "cate"),
    ("cate-predictor", "structure"),
    ("cate-predictor", "adjacency"),
    ("cate-dngo-ls", "cate"),
    ("regularized-evolution", "cate"),
    ("random", "cate"),
)
EDGES = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def by_categories(trial):
    """A cell of NAS-Bench-201 by an operation for each of its six edges."""
    text = EDGES.format(*(trial.suggest_categorical(f"edge{i}", OPERATIONS) for i in range(6)))
    return get_space("nasbench201").parse(text)


def main(space_name: str, trials: int, seeds: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, benchmark = get_space(space_name), load_benchmark(space_name)
    field = benchmark.default_field
    best = benchmark.best(field)[1]

    def study_of(name: str, seed: int):
        """A sampler, and what gives a trial its architecture."""
        if name in ("TPE", "random categories"):
            samplers = optuna.samplers.TPESampler if name == "TPE" else optuna.samplers.RandomSampler
            return samplers(seed=seed), by_categories
        sampler = ArchitectureSampler(space, *name.split(", "), seed=seed)
        return sampler, sampler.suggest

    names = ["TPE", "random categories"] if space_name == "nasbench201" else []
    for name in [*names, *map(", ".join, SEARCHES)]:
        curves, start = [], time.perf_counter()
        for seed in range(seeds):
            sampler, suggest = study_of(name, seed)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            study.optimize(lambda trial, suggest=suggest: benchmark.query(suggest(trial), field), n_trials=trials)
            curves.append(best - np.maximum.accumulate([trial.value for trial in study.trials]))
        regret = 100 * np.array(curves)
        points = [
            f"{regret[:, n - 1].mean():.3f} ± {regret[:, n - 1].std(ddof=1) / seeds**0.5:.3f}"
            for n in (25, 50, trials)
            if n <= trials
        ]
        print(f"| {name} | {' | '.join(points)} | {(time.perf_counter() - start) / seeds:.1f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="nasbench201", choices=("nasbench201", "nasbench-graph"))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    main(arguments.space, arguments.trials, arguments.seeds)
