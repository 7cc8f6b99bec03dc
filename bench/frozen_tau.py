"""How well frozen encodings rank cells by accuracy: encoding → ridge or Gaussian process on a few labelled cells, and
Kendall τ on 4,000 other cells, beside the one-hot adjacency encoding on the same cells.

    python bench/frozen_tau.py [--space nasbench101] --benchmark cells.parquet
    python bench/frozen_tau.py --space nasbench201
        [--field FIELD] [--model NAME_OR_FOLDER ...] [--encodings F.parquet ...]
        [--labels 50 150 424] [--seeds 5] [--development] [--output tau.json] [--overwrite]

The target is log(1 - accuracy) of the space's benchmark: mean test accuracy on NAS-Bench-101, mean validation accuracy
on CIFAR-10 on NAS-Bench-201, unless --field names another. The test cells are drawn once; --development draws another
4,000, which no final figure uses, for choices during training. Each seed draws its labelled cells from the rest. "best"
is the better of the two predictors by mean τ on those 4,000 cells, for each encoding and number of labels: a yardstick
of encodings, not of predictors. Without --model and --encodings, the bundled checkpoint of the space is measured.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cate_hf.benchmarks import find_benchmark
from cate_hf.files import atomic_output, check_output
from cate_hf.search.run import encode_candidates
from cate_hf.spaces import get_space

TEST_CELLS = 4000
SPLIT_SEED = 20210218


def predictors(dim: int) -> dict:
    kernel = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(dim**0.5, (1e-1, 1e3)) + WhiteKernel(0.1, (1e-5, 1e1))
    return {
        "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 5, 22))),
        "gp": make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True)),
    }


def split(cells: int, development: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the test cells, and of the cells that labels are drawn from (neither set of test cells among them)."""
    order = np.random.default_rng(SPLIT_SEED).permutation(cells)
    start = TEST_CELLS if development else 0
    return order[start : start + TEST_CELLS], order[2 * TEST_CELLS :]


def taus(encodings: np.ndarray, target: np.ndarray, labels: list[int], seeds: int, development: bool) -> dict:
    """{number of labels: {predictor: [τ of each seed]}}."""
    test, rest = split(len(target), development)
    result = {}
    for n in labels:
        result[n] = {name: [] for name in predictors(1)}
        for seed in range(seeds):
            rows = np.random.default_rng([seed, n]).choice(rest, n, replace=False)
            for name, predictor in predictors(encodings.shape[1]).items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    predictor.fit(encodings[rows].astype(np.float64), target[rows])
                predicted = predictor.predict(encodings[test].astype(np.float64))
                result[n][name].append(float(kendalltau(predicted, target[test])[0]))
    return result


def best(by_predictor: dict) -> tuple[str, float, float]:
    """The predictor with the higher mean, its mean and its standard deviation over seeds."""
    name = max(by_predictor, key=lambda p: np.mean(by_predictor[p]))
    return name, float(np.mean(by_predictor[name])), spread(by_predictor[name])


def spread(values: list[float]) -> float:
    """Standard deviation over seeds; NaN of one seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


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
        most = len(table) - 2 * TEST_CELLS
        if most < 2:
            raise ValueError(f"{options.space} has {len(table):,} architectures, not enough beside 2 × {TEST_CELLS:,}")
        if options.seeds < 1 or not all(2 <= n <= most for n in options.labels):
            raise ValueError(f"--seeds must be at least 1 and --labels from 2 to {most}")
        target = np.log(1 - benchmark.query_many(table, field))
        results = {}
        for source in [*sources, "adjacency"]:
            encodings = encode_candidates(source, options.space, table, progress=True)
            name = source if Path(source).name in results else Path(source).name
            results[name] = taus(encodings, target, options.labels, options.seeds, options.development)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    which = "development" if options.development else "test"
    print(f"Kendall τ, {TEST_CELLS:,} {which} cells, {options.seeds} seeds; oracle: {benchmark.oracle(field)}\n")
    print("| encoding | predictor |" + "".join(f" {n} |" for n in options.labels))
    print("|---|---|" + "---|" * len(options.labels))
    for name, by_labels in results.items():
        for predictor in predictors(1):
            cells = [
                f" {np.mean(by_labels[n][predictor]):.3f} ± {spread(by_labels[n][predictor]):.3f} |"
                for n in options.labels
            ]
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
            "best": {name: {n: best(taus_)[:2] for n, taus_ in by.items()} for name, by in results.items()},
        }
        with atomic_output(options.output, options.overwrite) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
