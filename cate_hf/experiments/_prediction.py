"""How well frozen encodings predict accuracy: a few labelled architectures, common predictors, unseen architectures."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.surrogates.measures import measures as common_measures

SPLIT_SEED = 20210218  # of the test architectures, the same for every encoding
TEST_SIZE = 4000
LABELS = (50, 150, 424)
LEAST_LABELS = 5  # as many as knn looks at
NAMES = ("ridge", "gp", "trees", "knn", "mlp")  # of the predictors


def predictors(dim: int) -> dict[str, Any]:
    """One of `NAMES` -> a regressor of scikit-learn for encodings of `dim` numbers."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kernel = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(dim**0.5, (1e-1, 1e3)) + WhiteKernel(0.1, (1e-5, 1e1))
    return {
        "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 5, 22))),
        "gp": make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True)),
        "trees": ExtraTreesRegressor(300, max_features=0.4, random_state=0, n_jobs=-1),
        "knn": make_pipeline(StandardScaler(), KNeighborsRegressor(LEAST_LABELS, weights="distance")),
        "mlp": TransformedTargetRegressor(
            make_pipeline(
                StandardScaler(), MLPRegressor(hidden_layer_sizes=(128,), alpha=3, max_iter=500, random_state=0)
            ),
            transformer=StandardScaler(),
        ),
    }


def split(count: int, development: bool, test_size: int = TEST_SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the test architectures, and of those that labels are drawn from.

    Two disjoint sets of test architectures are set apart: one for choices (development), one for what is reported.

    Raises:
        ValueError: there are not so many architectures.
    """
    most = (count - LEAST_LABELS) // 2
    if most < 2:
        least = f"at least {4 + LEAST_LABELS}, 2 × 2 for tests and {LEAST_LABELS} to learn from"
        raise ValueError(f"{count:,} architectures are not enough: expected {least}")
    if not 2 <= test_size <= most:
        raise ValueError(
            f"{count:,} architectures are not enough for 2 × {test_size:,} test architectures: expected --test-size 2 "
            f"to {most:,}"
        )
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    start = test_size if development else 0
    return order[start : start + test_size], order[2 * test_size :]


def measures(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Kendall τ, Spearman's ρ, and the share of the truly best hundredth among those predicted to be."""
    found = common_measures(predicted, true)
    return {
        "kendall_tau": found["kendall_tau"],
        "spearman": found["spearman"],
        "precision_at_k": found["precision_at_1_percent"],
    }


def to_target(values: np.ndarray, field: str) -> np.ndarray:
    """What predictors are fitted to: -log(1 - accuracy), which spreads the good ones, of accuracies as fractions or in
    per cent; other fields as they are.
    """
    if not field.endswith("accuracy"):
        return values
    return -np.log(np.maximum(1 - values / (100 if values.max(initial=0) > 1 else 1), 1e-6))


def fitting(count: int, test_size: int | None, labels: Sequence[int] | None) -> tuple[int, tuple[int, ...]]:
    """Numbers of test and of labelled architectures for so many in all: what is given, else 4,000 and 50, 150 and 424,
    or of few architectures a fifth, and those numbers of labels that leave some to draw from, at least one.
    """
    if test_size is None:
        test_size = TEST_SIZE if count >= 2 * TEST_SIZE + max(LABELS) else max(2, count // 5)
    if labels is None:
        rest = count - 2 * test_size
        labels = tuple(n for n in LABELS if 1.2 * n <= rest) or (max(LEAST_LABELS, rest // 2),)
    return test_size, tuple(labels)


def check_labels(count: int, labels: Sequence[int], seeds: int, names: Sequence[str], test_size: int) -> None:
    """Raise ValueError for what `predict` cannot do with so many architectures."""
    for name in names:
        if name not in NAMES:
            raise unknown("predictor", name, NAMES)
    rest = len(split(count, False, test_size)[1])
    if wrong := [n for n in labels if not LEAST_LABELS <= n <= rest]:
        raise ValueError(
            f"--labels must be {LEAST_LABELS} to {rest:,}, what {count:,} architectures leave beside --test-size 2 × "
            f"{test_size:,}, not {wrong[0]}"
        )
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, not {seeds}")


def predict(
    vectors: np.ndarray,
    target: np.ndarray,
    labels: Sequence[int],
    seeds: int,
    development: bool = False,
    names: Sequence[str] | None = None,
    test_size: int = TEST_SIZE,
    on_fit: Callable[[], None] = lambda: None,
    left_out: np.ndarray | None = None,
) -> dict[int, dict[str, dict[str, list[float]]]]:
    """Fit each predictor on each number of labelled architectures, and measure it on unseen ones.

    Args:
        vectors: (N, D); target: (N,), higher is better.
        labels: numbers of labelled architectures, drawn anew for each seed 0, 1, ….
        names: of the predictors; all by default.
        on_fit: called after each fit.
        left_out: rows that are not tested on.

    Returns:
        {labels: {predictor: {measure: [of each seed]}}}.
    """
    from sklearn.exceptions import ConvergenceWarning

    names = NAMES if names is None else names
    check_labels(len(target), labels, seeds, names, test_size)
    test, rest = split(len(target), development, test_size)
    if left_out is not None:
        test = test[~np.isin(test, left_out)]
    unseen = vectors[test].astype(np.float64)
    result: dict[int, dict[str, dict[str, list[float]]]] = {}
    for n in labels:
        result[n] = {name: {} for name in names}
        for seed in range(seeds):
            rows = np.random.default_rng([seed, n]).choice(rest, n, replace=False)
            fresh = predictors(vectors.shape[1])
            for name in names:
                predictor = fresh[name]
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    predictor.fit(vectors[rows].astype(np.float64), target[rows])
                for measure, value in measures(predictor.predict(unseen), target[test]).items():
                    result[n][name].setdefault(measure, []).append(value)
                on_fit()
    return result


def best(by_predictor: dict[str, dict[str, list[float]]], measure: str = "kendall_tau") -> tuple[str, float, float]:
    """The predictor with the highest mean of a measure, its mean and its standard deviation over seeds."""
    name = max(by_predictor, key=lambda p: np.mean(by_predictor[p][measure]))
    return name, *mean_and_spread(by_predictor[name][measure])


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation over seeds; the latter NaN of one seed."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
