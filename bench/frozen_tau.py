"""How well frozen encodings rank cells by accuracy: encoding → ridge or Gaussian process on a few labelled cells, and
Kendall τ on 4,000 other cells, beside the one-hot adjacency encoding on the same cells.

    python bench/frozen_tau.py [--space nasbench101] --benchmark cells.parquet
    python bench/frozen_tau.py --space nasbench201
        [--field FIELD] [--model NAME_OR_FOLDER ...] [--encodings F.parquet ...]
        [--labels 50 150 424] [--seeds 5] [--development] [--output tau.json] [--overwrite]

The target is -log(1 - accuracy) of the space's benchmark: mean test accuracy on NAS-Bench-101, mean validation accuracy
on CIFAR-10 on NAS-Bench-201, unless --field names another. The test cells are drawn once; --development draws another
4,000, which no final figure uses, for choices during training. Each seed draws its labelled cells from the rest. "best"
is the better of the two predictors by mean τ on those 4,000 cells, for each encoding and number of labels: a yardstick
of encodings, not of predictors. Without --model and --encodings, the bundled checkpoint of the space is measured.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from cate_hf.benchmarks import find_benchmark
from cate_hf.experiments.prediction import TEST_SIZE, check_labels, mean_and_spread, predict, to_target
from cate_hf.files import atomic_output, check_output
from cate_hf.search.run import encode_candidates
from cate_hf.spaces import get_space

PREDICTORS = ("ridge", "gp")


def taus(encodings: np.ndarray, target: np.ndarray, labels: list[int], seeds: int, development: bool) -> dict:
    """{number of labels: {predictor: [τ of each seed]}}."""
    found = predict(encodings, target, labels, seeds, development, PREDICTORS)
    return {n: {name: by["kendall_tau"] for name, by in predictors.items()} for n, predictors in found.items()}


def best(by_predictor: dict) -> tuple[str, float]:
    """The predictor with the higher mean, and its mean."""
    name = max(by_predictor, key=lambda p: np.mean(by_predictor[p]))
    return name, float(np.mean(by_predictor[name]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--benchmark", help="file of results, or a benchmark's name; the space's own when not given")
    parser.add_argument("--field", help="an accuracy of the benchmark; the first that it has when not given")
    parser.add_argument("--model", nargs="*", default=[])
    parser.add_argument("--encodings", nargs="*", default=[])
    parser.add_argument("--labels", nargs="+", type=int, default=[50, 150, 424])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--development", action="store_true")
    parser.add_argument("--output")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    sources = [*options.model, *options.encodings] or [options.space]
    try:
        if options.output:
            check_output(options.output, options.overwrite)
        benchmark = find_benchmark(options.space, options.benchmark)
        table = get_space(options.space).pool()
        field = options.field or benchmark.default_field
        check_labels(len(table), options.labels, options.seeds, PREDICTORS, TEST_SIZE)
        target = to_target(benchmark.query_many(table, field), field)
        results = {}
        for source in [*sources, "adjacency"]:
            encodings = encode_candidates(source, options.space, table, progress=True)
            name = source if Path(source).name in results else Path(source).name
            results[name] = taus(encodings, target, options.labels, options.seeds, options.development)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    which = "development" if options.development else "test"
    print(f"Kendall τ, {TEST_SIZE:,} {which} cells, {options.seeds} seeds; oracle: {benchmark.oracle(field)}\n")
    print("| encoding | predictor |" + "".join(f" {n} |" for n in options.labels))
    print("|---|---|" + "---|" * len(options.labels))
    for name, by_labels in results.items():
        for predictor in PREDICTORS:
            cells = [" {:.3f} ± {:.3f} |".format(*mean_and_spread(by_labels[n][predictor])) for n in options.labels]
            print(f"| {name} | {predictor} |" + "".join(cells))
        cells = [f" **{best(by_labels[n])[1]:.3f}** ({best(by_labels[n])[0]}) |" for n in options.labels]
        print(f"| {name} | best |" + "".join(cells))
    if options.output:
        report = {
            "split": which,
            "seeds": options.seeds,
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
