"""How well predictors fitted to a few labels rank other architectures: Kendall τ, Spearman's ρ, precision, calibration.

    python bench/predictor_tau.py [--space nasbench101] --benchmark cells.parquet --output predictor.jsonl
    python bench/predictor_tau.py --space nasbench201 --labels 78 156 469 781 --output predictor-201.jsonl
        [--field FIELD] [--model NAME_OR_FOLDER] [--labels 100 172 424] [--seeds 5] [--test-size 10000] [--members K]
        [--statistics structure both] [--initialisations N] [--cells N] [--every-cell] [--baselines] [--ablation]
        [--development] [--whole] [--singles]
    python bench/predictor_tau.py --data tagates cells.parquet split.json.gz --labels 72 364 729 --output split.jsonl

`fit_predictor` beside its parts (the fine-tuned members, and each simple part); with --baselines
instead extra trees and a Gaussian process on statistics alone, which need no encoder; with --ablation instead what is
left of it without pre-training, without statistics and so on. Each seed draws its labels anew; the architectures that
are tested are the same for all, and no labels are drawn from them. --development tests on others, from which no final
figure comes. --cells restricts all to the architectures whose statistics at initialisation are kept in the cache (the
first N of permutation [0, 4] of the pool). --every-cell takes NAS-Bench-201 as it is published: labels are drawn from
its 15,625 cells, each with its own, and all other cells are tested, also those that compute the same as a labelled one
(kendall_tau_new is of the rest). --whole adds τ on all architectures that are not labelled, and by how much it differs
between samples of them. --data takes architectures of bench/predictor_data.py. --singles measures, with the whole,
single simple predictors (ridge regression, a Gaussian process, trees) on each kind of features; the tables then have
the best one, chosen with hindsight. Lines are written as they come, and those that the output has already are not
measured again; without --labels the tables of what it holds are printed.
"""

import argparse
import copy
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import predictor_data

from cate_hf.benchmarks import find_benchmark
from cate_hf.encodings.cate import load_encoder
from cate_hf.experiments._prediction import mean_and_spread
from cate_hf.predictor import _training, fit_predictor
from cate_hf.predictor.report import report
from cate_hf.spaces import get_space
from cate_hf.surrogates.measures import measures
from cate_hf.surrogates.multi_target import MultiTargetGaussianProcess
from cate_hf.surrogates.ridge import Ridge
from cate_hf.surrogates.trees import Trees

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


def methods(options) -> dict[str, dict]:
    """Name -> what `fit_predictor` is given besides labels and statistics."""
    whole = {"members": options.members, "encoder": options.model, "initialisations": options.initialisations}
    plain, found = {"members": 0, "initialisations": options.initialisations}, {}
    if not options.ablation:
        for statistics in options.statistics:
            on, more = {"structure": ("structure", ""), "both": ("both statistics", ", both statistics")}[statistics]
            if options.baselines:
                found[f"trees on {on}"] = plain | {"statistics": statistics, "gp": False}
                found[f"gp + trees on {on}"] = plain | {"statistics": statistics}
            else:
                found[options.name + more] = whole | {"statistics": statistics}
        return found
    return {
        options.name: whole,
        "without pre-training": whole | {"encoder": untrained(options.model or options.space)},
        "without statistics as inputs": whole | {"statistics": "none"},
        "with the encoder of the paper's design": whole | {"encoder": "nasbench101-paper"},
        "ranking loss alone": whole | {"training": {"regression_weight": 0.0}},
        "regression loss alone": whole | {"training": {"ranking_weight": 0.0, "regression_weight": 1.0}},
        "any difference ranks": whole | {"training": {"ranking_temperature": 0.0}},
        "1 member": whole | {"members": 1},
        "3 members": whole | {"members": 3},
        "10 members": whole | {"members": 10},
    }


def untrained(name: str):
    """An encoder of the same shape with fresh weights."""
    import torch

    from cate_hf.encodings.cate import Encoder

    trained = load_encoder(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = type(trained.model)(trained.model.config)
    return Encoder(model, trained.tokenizer, search_space=trained.search_space)


class Tested:
    """The tested architectures; what isomorphic ones have in common is computed once, features once for each kind."""

    def __init__(self, space, table):
        _, first, self.of_row = np.unique(space.hash_many(table), return_index=True, return_inverse=True)
        self.table, self.distinct, self.known = table, table[first], {}

    def features(self, predictor) -> np.ndarray:
        kind = predictor.features
        name = (kind.statistics, kind.initialisations, predictor.facts["encoder"], kind.has_wiring)
        if name not in self.known:
            self.known[name] = kind(self.distinct)
        return self.known[name]


class TrainedOnce:
    """`train_members`; what was trained last is not trained again. Statistics change process and trees alone."""

    def __init__(self, train):
        self.train, self.key, self.states = train, None, []

    def __call__(self, models, inputs, targets, absent, settings, seed, device="cpu", advance=lambda steps: None):
        first = [value.numpy().tobytes() for value in models[0].state_dict().values()]
        key = [targets.tobytes(), absent.tobytes(), inputs["adjacency"].numpy().tobytes(), settings, seed, *first]
        if key != self.key:
            self.train(models, inputs, targets, absent, settings, seed, device, advance)
            self.key, self.states = key, [copy.deepcopy(model.state_dict()) for model in models]
        for model, state in zip(models, self.states, strict=True):
            model.load_state_dict(state)
            model.eval()


def labelled(benchmark, field: str, cells: int | None, every_cell: bool):
    """The architectures that have a value of a field, and the values."""
    if every_cell:
        table = benchmark.space.enumerate()
        values = benchmark.query_many(table.columns["cell"].tolist(), field, missing="nan")
    else:
        table = benchmark.candidates()
        values = benchmark.query_many(table, field, missing="nan")
    kept = ~np.isnan(values)
    if cells:
        kept &= np.isin(np.arange(len(table)), np.random.default_rng([0, 4]).permutation(len(table))[:cells])
    return table[kept].replace_columns({}), values[kept]


def measure(
    predictor, tested: Tested, rows: np.ndarray, values: np.ndarray, target: str, new: np.ndarray | None = None
) -> dict:
    """What a predictor and each of its parts gives on those rows of the tested that it has not seen, values theirs;
    `new` are those of them that are isomorphic to no labelled one."""
    start = time.perf_counter()
    parts, deviations = predictor.parts(tested.distinct, tested.features(predictor))
    parts, deviations = parts[:, tested.of_row[rows]], deviations[tested.of_row[rows]]
    found = report(predictor, tested.table[rows], {target: values}, parts=(parts, deviations))[target]
    higher = predictor.targets[0].higher_is_better
    sign = 1 if higher else -1
    found["parts"] = {
        name: measures(sign * part[:, 0], sign * values, higher)
        for name, part in zip(predictor.part_names, parts, strict=True)
    }
    if new is not None:
        predicted = predictor.combined(parts, deviations)[0, 0]
        found["kendall_tau_new"] = measures(sign * predicted[new], sign * values[new])["kendall_tau"]
    return found | {"fit_seconds": predictor.facts["seconds"], "test_seconds": time.perf_counter() - start}


def singles(predictor, tested: Tested, rows: np.ndarray, values: np.ndarray, known: np.ndarray) -> dict[str, dict]:
    """Name -> what a simple predictor alone gives on the tested rows, besides those that are parts of the predictor.

    Args:
        known: features (n, F) of the labelled architectures.
    """
    unseen, names = tested.features(predictor)[tested.of_row[rows]], predictor.features.names
    encoded, wired = ([name.startswith(kind) for name in names] for kind in ("encoding", "wiring"))
    plain = ~np.array(encoded) & ~np.array(wired)
    target = predictor.targets[0]
    wanted = target.forward(predictor.labels.columns[target.name])[:, None]
    sign, found = 1 if target.higher_is_better else -1, {}
    for kind, columns in (("statistics", plain), ("encoding", np.array(encoded)), ("wiring", np.array(wired))):
        if columns.any():
            inputs = known[:, columns], unseen[:, columns]
            found[f"{kind}: ridge"] = Ridge.fit(inputs[0], wanted).predict(inputs[1])
            found[f"{kind}: gp"] = MultiTargetGaussianProcess.fit(inputs[0], wanted).predict(inputs[1])
            found[f"{kind}: trees"] = Trees.fit(inputs[0], wanted, 0).predict(inputs[1])[0]
    return {name: measures(sign * mean[:, 0], sign * values, target.higher_is_better) for name, mean in found.items()}


def of_the_whole(predictor, table, values: np.ndarray, labelled_rows: np.ndarray, sample: int) -> dict:
    """τ on all that is not labelled, and the standard deviation of τ over disjoint samples of it."""
    others = np.delete(np.arange(len(table)), labelled_rows)
    sign = 1 if predictor.targets[0].higher_is_better else -1
    predicted, true = sign * predictor.standardised(table[others])[0, 0], sign * values[others]
    order = np.random.default_rng(0).permutation(len(others))
    samples = np.array_split(order, max(2, len(order) // sample))
    taus = [measures(predicted[rows], true[rows])["kendall_tau"] for rows in samples]
    whole = measures(predicted, true)["kendall_tau"]
    return {"whole": len(others), "kendall_tau_whole": whole, "deviation_of_samples": float(np.std(taus, ddof=1))}


def tables(lines: list[dict]) -> str:
    """The results in Markdown: a row a method, a column a number of labels; τ, and the rest for the whole predictor."""
    labels = sorted({line["labels"] for line in lines})
    rows: dict[str, dict[int, list[float]]] = {}
    for line in lines:
        by = {line["method"]: line["kendall_tau"]}
        if len(line["parts"]) > 1:
            by |= {f"{line['method']}: {part}": m["kendall_tau"] for part, m in line["parts"].items()}
            for part, m in line.get("singles", {}).items():
                by[f"{line['method']}: {part}"] = m["kendall_tau"]
        for name, tau in by.items():
            rows.setdefault(name, {}).setdefault(line["labels"], []).append(tau)
    text = ["| Kendall τ |" + "".join(f" n = {n} |" for n in labels), "|---|" + "---|" * len(labels)]
    for name, by in rows.items():
        cells = [mean_and_spread(by[n]) if n in by else None for n in labels]
        text.append(f"| {name} |" + "".join(f" {_in_words(cell)} |" for cell in cells))
    if any("singles" in line for line in lines):
        text.append("| the best simple one, with hindsight |" + "".join(f" {_best_simple(rows, n)} |" for n in labels))
    keys = ("spearman", "precision_at_1_percent", "coverage_50", "coverage_90", "coverage_90_normal")
    keys += ("coverage_90_low", "fit_seconds")
    text += ["", "| | n |" + "".join(f" {key.replace('_', ' ')} |" for key in keys), "|---|---|" + "---|" * len(keys)]
    for name in dict.fromkeys(line["method"] for line in lines):
        for n in labels:
            those = [line for line in lines if line["method"] == name and line["labels"] == n]
            if those:
                values = [[line[key] for line in those if line.get(key) is not None] for key in keys]
                numbers = "".join(f" {np.mean(v):.3f} |" if v else " – |" for v in values)
                text.append(f"| {name} | {n} |{numbers}")
    return "\n".join(text)


def _best_simple(rows: dict[str, dict[int, list[float]]], labels: int) -> str:
    """The single simple predictor with the highest mean τ."""
    found = {name: np.mean(by[labels]) for name, by in rows.items() if labels in by and ": " in name}
    found = {name.split(": ", 1)[1]: tau for name, tau in found.items() if not name.endswith(": members")}
    best = max(found, key=found.get)
    return f"{found[best]:.3f} ({best})"


def _in_words(cell: tuple[float, float] | None) -> str:
    if cell is None:
        return "–"
    return f"{cell[0]:.3f} (one draw)" if np.isnan(cell[1]) else f"{cell[0]:.3f} ± {cell[1]:.3f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--benchmark", help="file of results, or a benchmark's name; the space's own when not given")
    parser.add_argument("--data", nargs="+", metavar="NAME", help=f"{', '.join(predictor_data.NAMES)}, and its files")
    parser.add_argument("--singles", action="store_true", help="measure single simple predictors too")
    parser.add_argument("--field", help="of the benchmark; its own choice when not given")
    parser.add_argument("--model", help="the encoder; the one bundled for the space when not given")
    parser.add_argument("--labels", nargs="+", type=int)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--test-size", type=int, default=10_000)
    parser.add_argument("--members", type=int)
    parser.add_argument("--statistics", nargs="+", choices=["structure", "both"], default=["structure"])
    parser.add_argument("--initialisations", type=int, default=1)
    parser.add_argument("--cells", type=int)
    parser.add_argument("--every-cell", action="store_true", help="NAS-Bench-201's 15,625 cells")
    parser.add_argument("--whole", action="store_true", help="measure τ on all other architectures too")
    parser.add_argument("--name", default="predictor", help="of the method in the tables")
    parser.add_argument("--baselines", action="store_true", help="measure what needs no encoder instead")
    parser.add_argument("--ablation", action="store_true", help="measure what is left without one thing or another")
    parser.add_argument("--development", action="store_true")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.is_file() else []
    if not options.labels:
        print(tables(lines))
        return 0
    warnings.filterwarnings("ignore", message=".*isomorphic", category=UserWarning)  # of --every-cell
    if options.data:
        space, table, values, test, rest, oracle = predictor_data.load(options.data[0], options.data[1:])
        field = "accuracy"
    else:
        space = get_space(options.space)
        benchmark = find_benchmark(space, options.benchmark)
        field = options.field or benchmark.default_field
        table, values = labelled(benchmark, field, options.cells, options.every_cell)
        oracle = benchmark.oracle(field)
        if options.every_cell:
            test, rest = np.arange(len(table)), np.arange(len(table))
        else:
            test, rest = split(len(table), options.test_size, options.development)
    common = {"space": space.name, "oracle": oracle, "field": field, "tested": len(test)}
    common |= {"development": options.development, "cells": options.cells, "every_cell": options.every_cell}
    tested = Tested(space, table[test])
    hashes = space.hash_many(table) if options.every_cell else None
    _training.train_members = TrainedOnce(_training.train_members)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for n in options.labels:
            rows = np.random.default_rng([seed, n]).choice(rest, n, replace=False)
            unseen = ~np.isin(test, rows)
            for name, chosen in methods(options).items():
                key = {"method": name, "labels": n, "seed": seed} | common
                if any(all(line.get(k) == v for k, v in key.items()) for line in lines):
                    continue
                labels = {field: values[rows]}
                predictor = fit_predictor(table[rows], labels, space=space, seed=seed, **chosen)
                new = None if hashes is None else ~np.isin(hashes[test[unseen]], hashes[rows])
                found = measure(predictor, tested, unseen, values[test[unseen]], field, new)
                if options.singles:
                    known = predictor.features(predictor.labels.table.replace_columns({}))
                    found["singles"] = singles(predictor, tested, unseen, values[test[unseen]], known)
                if options.whole:
                    found |= of_the_whole(predictor, table, values, rows, len(test))
                lines.append(key | {"statistics": predictor.features.statistics} | found)
                with options.output.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                print(f"{name}, {n} labels, seed {seed}: τ {lines[-1]['kendall_tau']:.4f}", flush=True)
    print(tables(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
