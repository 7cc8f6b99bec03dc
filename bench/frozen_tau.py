"""How well frozen encodings rank cells by accuracy: encoding → ridge, Gaussian process or extra trees on a few labelled
cells, and Kendall τ on 4,000 other cells, beside the one-hot adjacency encoding on the same cells.

    python bench/frozen_tau.py [--space nasbench101] --benchmark cells.parquet
    python bench/frozen_tau.py --space nasbench201
        [--field FIELD] [--model NAME_OR_FOLDER ...] [--encodings F.parquet ...]
        [--labels 50 150 424 4236] [--seeds 5] [--test-size 4000] [--development] [--output tau.json] [--overwrite]

The target is -log(1 - accuracy) of the space's benchmark: mean test accuracy on NAS-Bench-101, mean validation accuracy
on CIFAR-10 on NAS-Bench-201, unless --field names another. The test cells are drawn once; --development draws as many
others, which no final figure uses, for choices during training. Each seed draws its labelled cells from the rest.
"best" is the best of the three predictors by mean τ on the test cells, for each encoding and number of labels: a
yardstick of encodings, not of predictors. Gaussian processes are left out above 1,000 labels. --model takes any
encoding's name too. Without --model and --encodings, the bundled checkpoint of the space is measured. Only cells that
are drawn are encoded. --measured N leaves out of the test the N cells whose networks `--statistics-cells N` of a
pre-training measures; with --only-measured these are all that there is: test and labelled cells are drawn from them,
and `zero-cost` has nothing to measure. An architecture of two cells, as in NAS-Bench-301, has the encodings of both
side by side.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from cate_hf.benchmarks import find_benchmark
from cate_hf.core._files import atomic_output, check_output
from cate_hf.experiments._prediction import TEST_SIZE, check_labels, mean_and_spread, predict, split, to_target
from cate_hf.search.run import encode_candidates

PREDICTORS = ("ridge", "gp", "trees")
MOST_LABELS = {"gp": 1000}


def drawn_rows(count: int, labels: list[int], seeds: int, development: bool, test_size: int) -> np.ndarray:
    """Sorted rows of all test cells and of the labelled ones that `predict` draws."""
    test, rest = split(count, development, test_size)
    labelled = [
        np.random.default_rng([seed, n]).choice(rest, n, replace=False) for n in labels for seed in range(seeds)
    ]
    return np.unique(np.concatenate([test, *labelled]))


def taus(
    encodings: np.ndarray,
    target: np.ndarray,
    labels: list[int],
    seeds: int,
    development: bool,
    test_size: int,
    left_out: np.ndarray | None = None,
) -> dict:
    """{number of labels: {predictor: [τ of each seed]}}."""
    result = {}
    for n in labels:
        names = [name for name in PREDICTORS if n <= MOST_LABELS.get(name, n)]
        found = predict(encodings, target, [n], seeds, development, names, test_size, left_out=left_out)[n]
        result[n] = {name: measured["kendall_tau"] for name, measured in found.items()}
    return result


def best(by_predictor: dict) -> tuple[str, float]:
    """The predictor with the highest mean, and its mean."""
    name = max(by_predictor, key=lambda p: np.mean(by_predictor[p]))
    return name, float(np.mean(by_predictor[name]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--benchmark", help="file of results, or a benchmark's name; the space's own when not given")
    parser.add_argument("--field", help="an accuracy of the benchmark; the first that it has when not given")
    parser.add_argument("--model", nargs="*", default=[])
    parser.add_argument("--encodings", nargs="*", default=[])
    parser.add_argument("--labels", nargs="+", type=int, default=[50, 150, 424, 4236])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--test-size", type=int, default=TEST_SIZE)
    parser.add_argument("--measured", type=int, default=0)
    parser.add_argument("--only-measured", action="store_true")
    parser.add_argument("--development", action="store_true")
    parser.add_argument("--output")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    sources = [*options.model, *options.encodings] or [options.space]
    try:
        if options.output:
            check_output(options.output, options.overwrite)
        benchmark = find_benchmark(options.space, options.benchmark)
        table = benchmark.candidates()
        field = options.field or benchmark.default_field
        values = benchmark.query_many(table, field, missing="nan")
        table, values = table[~np.isnan(values)], values[~np.isnan(values)]
        left_out = np.random.default_rng([0, 4]).permutation(len(table))[: options.measured]
        if options.only_measured:
            if not options.measured:
                raise ValueError("--only-measured needs --measured: how many cells")
            table, values, left_out = table[np.sort(left_out)], values[np.sort(left_out)], left_out[:0]
        check_labels(len(table), options.labels, options.seeds, PREDICTORS, options.test_size)
        target = to_target(values, field)
        drawn = (options.labels, options.seeds, options.development, options.test_size)
        rows = drawn_rows(len(table), *drawn)
        results, dims = {}, {}
        for source in [*sources, *(["adjacency"] if "adjacency" not in sources else [])]:
            found = encode_candidates(source, options.space, table[rows], progress=True)
            encodings = np.zeros((len(table), found.shape[1]), np.float32)
            encodings[rows] = found
            name = source if Path(source).name in results else Path(source).name
            results[name], dims[name] = taus(encodings, target, *drawn, left_out), found.shape[1]
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    which = "development" if options.development else "test"
    tested = len(np.setdiff1d(split(len(table), options.development, options.test_size)[0], left_out))
    print(
        f"Kendall τ, {tested:,} {which} cells of {len(table):,}, {options.seeds} seeds; "
        f"oracle: {benchmark.oracle(field)}\n"
    )
    print("| encoding | dims | predictor |" + "".join(f" {n} |" for n in options.labels))
    print("|---|---|---|" + "---|" * len(options.labels))
    for name, by_labels in results.items():
        for predictor in PREDICTORS:
            found = [mean_and_spread(by_labels[n][predictor]) if predictor in by_labels[n] else None for n in by_labels]
            cells = [" – |" if pair is None else " {:.3f} ± {:.3f} |".format(*pair) for pair in found]
            print(f"| {name} | {dims[name]} | {predictor} |" + "".join(cells))
        cells = [f" **{best(by_labels[n])[1]:.3f}** ({best(by_labels[n])[0]}) |" for n in options.labels]
        print(f"| {name} | {dims[name]} | best |" + "".join(cells))
    if options.output:
        report = {
            "split": which,
            "seeds": options.seeds,
            "test_size": options.test_size,
            **({"only_measured": options.measured} if options.only_measured else {}),
            "dims": dims,
            "space": options.space,
            "oracle": benchmark.oracle(field),
            "tau": results,
            "best": {name: {n: best(taus_) for n, taus_ in by.items()} for name, by in results.items()},
        }
        with atomic_output(options.output, options.overwrite) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
