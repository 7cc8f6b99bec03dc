"""Regret of Optuna studies on NAS-Bench-201: architectures by their encodings, and by a category an edge.

    .venv/bin/python bench/optuna_search.py [--trials 100] [--seeds 10]

Validation accuracy on CIFAR-10, mean of up to 3 runs, from the packaged table. Regret in percentage points after 25, 50
and all trials, mean ± standard error over the seeds; seconds a study.
"""

import argparse
import time

import numpy as np
import optuna

from cate_hf import get_space, load_benchmark
from cate_hf.integrations.optuna import ArchitectureSampler

ALGORITHMS = ("cate-predictor", "cate-dngo-ls", "regularized-evolution")


def by_categories(space, benchmark):
    """The objective as one writes it without this package: an operation for each of the six edges."""
    text = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    operations = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]

    def objective(trial):
        chosen = [trial.suggest_categorical(f"edge{i}", operations) for i in range(6)]
        return benchmark.query(space.parse(text.format(*chosen)), "validation_accuracy")

    return objective


def main(trials: int, seeds: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, benchmark = get_space("nasbench201"), load_benchmark("nasbench201")
    best = benchmark.best("validation_accuracy")[1]
    studies = {
        "TPE, a category an edge": (lambda seed: optuna.samplers.TPESampler(seed=seed), None),
        "random, a category an edge": (lambda seed: optuna.samplers.RandomSampler(seed=seed), None),
    }
    for name in ALGORITHMS:
        studies[f"{name}, cate"] = (lambda seed, name=name: ArchitectureSampler(space, name, seed=seed), "architecture")
    for name, (make, parameter) in studies.items():
        curves, start = [], time.perf_counter()
        for seed in range(seeds):
            sampler = make(seed)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            objective = by_categories(space, benchmark)
            if parameter:

                def objective(trial, sampler=sampler):
                    return benchmark.query(sampler.suggest(trial), "validation_accuracy")

            study.optimize(objective, n_trials=trials)
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
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    main(arguments.trials, arguments.seeds)
