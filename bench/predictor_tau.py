"""How well predictors fitted to a few labels rank other architectures: Kendall τ, Spearman's ρ, precision, calibration.

    python bench/predictor_tau.py [--space nasbench101] --benchmark cells.parquet --output predictor.jsonl
    python bench/predictor_tau.py --space nasbench201 --labels 78 156 469 781 --output predictor-201.jsonl
        [--field FIELD] [--model NAME_OR_FOLDER] [--labels 100 172 424] [--seeds 5] [--test-size 20000] [--members K]
        [--statistics structure|both] [--cells N] [--development]

`fit_predictor` beside what it is made of (the fine-tuned members, the Gaussian process, the trees) and beside extra
trees and a Gaussian process on structural statistics alone, which need no encoder. Each seed draws its labels anew; the
architectures that are tested are the same for all, and no labels are drawn from them. --development tests on others,
from which no final figure comes. --cells restricts all to the architectures whose statistics at initialisation are
kept in the cache (the first N of permutation [0, 4] of the pool). Lines are written as they come, and those that the
output has already are not measured again; without --labels the tables of what it holds are printed.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from cate_hf.benchmarks import find_benchmark
from cate_hf.experiments.prediction import mean_and_spread
from cate_hf.predictor import fit_predictor
from cate_hf.predictor.report import measures, report
from cate_hf.spaces import get_space

SPLIT_SEED = 123
DEVELOPMENT = 4000


def split(count: int, test_size: int, development: bool) -> tuple[np.ndarray, np.ndarray]:
    """Positions of what is tested, and of what labels are drawn from."""
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    first = min(DEVELOPMENT, count // 8)
    if development:
        return order[:first], order[2 * first :]
    test_size = min(test_size, count // 2)
    return order[2 * first : 2 * first + test_size], order[2 * first + test_size :]


def measure(predictor, table, values: np.ndarray, target: str, features: np.ndarray | None) -> dict:
    """What a predictor and each of its parts gives on architectures that it has not seen."""
    start = time.perf_counter()
    features = predictor.features(table) if features is None else features
    parts, _ = predictor.parts(table, features)
    found = report(predictor, table, {target: values}, features)[target]
    kinds = (("members", bool(predictor.models)), ("gp", predictor.process is not None))
    names = [name for name, there in (*kinds, ("trees", predictor.trees is not None)) if there]
    higher = predictor.targets[0].higher_is_better
    sign = 1 if higher else -1
    found["parts"] = {
        name: measures(sign * part[:, 0], sign * values, higher) for name, part in zip(names, parts, strict=True)
    }
    return found | {"fit_seconds": predictor.facts["seconds"], "test_seconds": time.perf_counter() - start}


def tables(lines: list[dict]) -> str:
    """The results in Markdown: a row a method, a column a number of labels; τ, and the rest for the whole predictor."""
    labels = sorted({line["labels"] for line in lines})
    rows: dict[str, dict[int, list[float]]] = {}
    for line in lines:
        by = {line["method"]: line["kendall_tau"]}
        if len(line["parts"]) > 1:
            by |= {f"{line['method']}: {part}": m["kendall_tau"] for part, m in line["parts"].items()}
        for name, tau in by.items():
            rows.setdefault(name, {}).setdefault(line["labels"], []).append(tau)
    text = ["| Kendall τ |" + "".join(f" n = {n} |" for n in labels), "|---|" + "---|" * len(labels)]
    for name, by in rows.items():
        cells = [mean_and_spread(by[n]) if n in by else None for n in labels]
        text.append(f"| {name} |" + "".join(f" {_in_words(cell)} |" for cell in cells))
    keys = ("spearman", "precision_at_1_percent", "coverage_50", "coverage_90", "coverage_90_normal")
    keys += ("coverage_90_low", "fit_seconds")
    text += ["", "| | n |" + "".join(f" {key.replace('_', ' ')} |" for key in keys), "|---|---|" + "---|" * len(keys)]
    for name in dict.fromkeys(line["method"] for line in lines):
        for n in labels:
            those = [line for line in lines if line["method"] == name and line["labels"] == n]
            if those:
                values = [[line[key] for line in those if line[key] is not None] for key in keys]
                numbers = "".join(f" {np.mean(v):.3f} |" if v else " – |" for v in values)
                text.append(f"| {name} | {n} |{numbers}")
    return "\n".join(text)


def _in_words(cell: tuple[float, float] | None) -> str:
    if cell is None:
        return "–"
    return f"{cell[0]:.3f} (one draw)" if np.isnan(cell[1]) else f"{cell[0]:.3f} ± {cell[1]:.3f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--benchmark", help="file of results, or a benchmark's name; the space's own when not given")
    parser.add_argument("--field", help="of the benchmark; its own choice when not given")
    parser.add_argument("--model", help="the encoder; the one bundled for the space when not given")
    parser.add_argument("--labels", nargs="+", type=int)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--test-size", type=int, default=20_000)
    parser.add_argument("--members", type=int)
    parser.add_argument("--statistics", default="structure")
    parser.add_argument("--cells", type=int)
    parser.add_argument("--name", default="predictor", help="of the method in the tables")
    parser.add_argument("--baselines", action="store_true", help="measure what needs no encoder instead")
    parser.add_argument("--development", action="store_true")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.is_file() else []
    if not options.labels:
        print(tables(lines))
        return 0
    space = get_space(options.space)
    benchmark = find_benchmark(space, options.benchmark)
    field = options.field or benchmark.default_field
    pool = benchmark.candidates()
    values = benchmark.query_many(pool, field, missing="nan")
    kept = ~np.isnan(values)
    if options.cells:
        measured = np.random.default_rng([0, 4]).permutation(len(pool))[: options.cells]
        kept &= np.isin(np.arange(len(pool)), measured)
    table, values = pool[kept].replace_columns({}), values[kept]
    test, rest = split(len(table), options.test_size, options.development)
    common = {"space": space.name, "oracle": benchmark.oracle(field), "field": field, "tested": len(test)}
    common |= {"development": options.development, "cells": options.cells}
    if options.baselines:
        settings = {
            "trees on structure": {"members": 0, "gp": False},
            "gp + trees on structure": {"members": 0},
        }
    else:
        settings = {options.name: {"members": options.members, "encoder": options.model}}
    features = {}
    for n in options.labels:
        for seed in range(options.seeds):
            rows = np.random.default_rng([seed, n]).choice(rest, n, replace=False)
            for name, chosen in settings.items():
                key = {"method": name, "labels": n, "seed": seed} | common
                if any(all(line.get(k) == v for k, v in key.items()) for line in lines):
                    continue
                statistics = options.statistics
                predictor = fit_predictor(
                    table[rows], {field: values[rows]}, space=space, seed=seed, statistics=statistics, **chosen
                )
                if name not in features:
                    features[name] = predictor.features(table[test])
                lines.append(key | measure(predictor, table[test], values[test], field, features[name]))
                with options.output.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                print(f"{name}, {n} labels, seed {seed}: τ {lines[-1]['kendall_tau']:.4f}", flush=True)
    print(tables(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
