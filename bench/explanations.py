"""Whether predicted effects of single changes are the true ones: `cate_hf.predictor.explain` on NAS-Bench-101.

    python bench/explanations.py --benchmark cells.parquet --labels 100 424 --seeds 3 --output explanations.jsonl
        [--cells 40]

A predictor is fitted to random cells and their mean test accuracy, by its simple parts alone; then every change of one
operation or one edge of other random cells is predicted and looked up. The effects are taken as changes of -log(1 -
accuracy), in which the predictor is fitted. A line has Spearman's ρ over all changes of all cells, its mean over the
cells, of operations and of edges alone, and how often the change predicted to gain the most does gain. Lines are
written as they come, and those that the output has already are not measured again.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from predictor_labels import Lines
from scipy.stats import spearmanr

from cate_hf import fit_predictor, get_space, load_encoder
from cate_hf.benchmarks import find_benchmark
from cate_hf.predictor.explain import explain


def measure(space, benchmark, predictor, cells) -> dict:
    def spread(accuracies: np.ndarray) -> np.ndarray:
        return -np.log(np.maximum(1 - accuracies, 1e-6))

    everything, by_cell, gained = [], [], []
    starts, true_starts = predictor.predict(cells)[0], benchmark.query_many(cells, benchmark.default_field)
    for row, cell in enumerate(cells):
        steps = explain(predictor, cell)
        after = benchmark.query_many(space.table([step.architecture for step in steps]), benchmark.default_field)
        predicted = spread(starts[row] + np.array([step.difference for step in steps])) - spread(starts[row])
        true = spread(after) - spread(true_starts[row])
        edges = np.array([step.what.startswith("edge") for step in steps])
        everything.append(np.column_stack([predicted, true, edges]))
        by_cell.append(spearmanr(predicted, true)[0])
        gained.append(true[0] > 0)
    joined = np.concatenate(everything)
    kinds = {"all": joined, "operations": joined[joined[:, 2] == 0], "edges": joined[joined[:, 2] == 1]}
    found = {f"spearman_{name}": float(spearmanr(part[:, 0], part[:, 1])[0]) for name, part in kinds.items()}
    return found | {
        "spearman_of_a_cell": float(np.nanmean(by_cell)),
        "best_change_gains": float(np.mean(gained)),
        "any_change_gains": float((joined[:, 1] > 0).mean()),
        "changes": len(joined),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--labels", type=int, nargs="+", default=())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    lines, space = Lines(options.output), get_space("nasbench101")
    benchmark, encoder = find_benchmark(space, options.benchmark), load_encoder("nasbench101")
    for n in options.labels:
        for seed in range(options.seeds):
            key = {"labels": n, "seed": seed, "cells": options.cells}
            if lines.has(**key):
                continue
            drawn = space.sample(n + options.cells, 300 + seed).replace_columns({})
            values = benchmark.query_many(drawn[:n], benchmark.default_field)
            predictor = fit_predictor(drawn[:n], values, encoder=encoder, space=space, members=0, seed=seed)
            lines.add(**key, **measure(space, benchmark, predictor, drawn[n:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
