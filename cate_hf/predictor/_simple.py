"""The simple parts of a predictor: what is fitted to features of architectures, beside the fine-tuned members."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cate_hf.predictor._combine import SPREAD_OF_STARTS
from cate_hf.predictor._features import Features
from cate_hf.surrogates.multi_target import MultiTargetGaussianProcess
from cate_hf.surrogates.ridge import Ridge
from cate_hf.surrogates.shares import Shares, SharesAndRidge
from cate_hf.surrogates.trees import Trees

MOST_LABELS = 5000  # of a Gaussian process, whose time grows with their cube
_TREES, _FOLD_TREES = 200, 60
_SPREAD_OF_AUXILIARY = 0.2
_MUCH = 0.02  # of Kendall τ: an auxiliary part so far behind the best of them is left out


class Kind(NamedTuple):
    """What a part is, and which features it sees: "plain" (statistics and encoding), "encoding", "wiring", "all" (of
    these), "auxiliary", or "plain and auxiliary".

    The head start is how far, in Kendall τ, it is expected to be ahead: with an encoder, and without. Chosen on
    16 to 424 labels of NAS-Bench-101, 201, 301, Macro and a space of chains with skips.
    """

    model: Any
    features: str
    words: str
    head_start: tuple[float, float]


KINDS = {
    "process": Kind(MultiTargetGaussianProcess, "plain", "a Gaussian process on statistics and encoding", (0.0, -0.1)),
    "trees": Kind(Trees, "plain", "trees on statistics and encoding", (-0.06, -0.12)),
    "ridge": Kind(Ridge, "plain", "ridge regression on statistics and encoding", (0.0, -0.1)),
    "encoding_ridge": Kind(Ridge, "encoding", "ridge regression on the encoding", (0.0, 0.0)),
    "encoding_process": Kind(MultiTargetGaussianProcess, "encoding", "a Gaussian process on the encoding", (0.0, 0.0)),
    "wiring_ridge": Kind(Ridge, "wiring", "ridge regression on the canonical adjacency", (-0.13, -0.02)),
    "wiring_process": Kind(
        MultiTargetGaussianProcess, "wiring", "a Gaussian process on the canonical adjacency", (-0.16, -0.03)
    ),
    "all_ridge": Kind(Ridge, "all", "ridge regression on all features", (-0.06, 0.0)),
    "all_process": Kind(MultiTargetGaussianProcess, "all", "a Gaussian process on all features", (-0.01, 0.0)),
    "all_trees": Kind(Trees, "all", "trees on all features", (-0.06, -0.05)),
    "auxiliary_shares": Kind(Shares, "auxiliary", "a weighted mean of the auxiliary columns", (0.0, 0.0)),
    "auxiliary_ridge": Kind(
        SharesAndRidge,
        "plain and auxiliary",
        "a weighted mean of the auxiliary columns, and ridge regression of what it leaves",
        (0.0, 0.0),
    ),
    "auxiliary_process": Kind(
        MultiTargetGaussianProcess,
        "plain and auxiliary",
        "a Gaussian process on statistics, encoding and auxiliary columns",
        (0.0, 0.0),
    ),
}
"""Name -> kind, in the order in which a predictor has them."""
MEMBERS_HEAD_START = -0.04  # of few labels fine-tuning is behind a Gaussian process on the encoding


def chosen_kinds(features: Features, labels: int, gp: bool, trees: bool) -> list[str]:
    """Return the names of the parts that a predictor of so many labels has; ridge regressions come with any other."""
    wanted = {MultiTargetGaussianProcess: gp and labels <= MOST_LABELS, Trees: trees}
    wanted |= dict.fromkeys((Ridge, Shares, SharesAndRidge), gp or trees)
    needs = {"wiring": features.has_wiring, "all": features.has_wiring, "encoding": features.encoder is not None}
    needs |= dict.fromkeys(("auxiliary", "plain and auxiliary"), features.auxiliary is not None)
    names = [name for name, kind in KINDS.items() if wanted[kind.model] and needs.get(kind.features, True)]
    gains = _auxiliary_gains(features)
    return [name for name in names if name not in gains or gains[name] > max(gains.values()) - _MUCH]


def _auxiliary_gains(features: Features) -> dict[str, float]:
    """What is known of the parts on auxiliary columns from these columns themselves: `Auxiliary.head_starts`."""
    measured = None if features.auxiliary is None else features.auxiliary.head_starts
    names = [name for name, kind in KINDS.items() if "auxiliary" in kind.features]
    return {} if measured is None else dict(zip(names, measured, strict=True))


def head_starts(names: Sequence[str], features: Features) -> tuple[list[float], list[float]]:
    """Return of each part how far it is expected to be ahead, and how far that is to be trusted (`Combination.fit`)."""
    column = 0 if features.encoder is not None else 1
    gains = _auxiliary_gains(features)
    starts, spreads = [], []
    for name in names:
        start, spread = KINDS[name].head_start[column], SPREAD_OF_STARTS
        if "auxiliary" in KINDS[name].features:
            spread = _SPREAD_OF_AUXILIARY
            start = gains.get(name, 0.0) + KINDS["ridge"].head_start[column]
        starts.append(start)
        spreads.append(spread)
    return starts, spreads


def seen_by(name: str, features: Features, values: np.ndarray) -> np.ndarray:
    """Return the columns of all features (N, F) that a part sees."""
    return values[:, _columns(name, features)]


def _columns(name: str, features: Features) -> Any:
    """A slice, or of the encoding, which may lie between statistics, the numbers of its columns."""
    plain, own = features.plain_dim, features.own_dim
    if KINDS[name].features == "encoding":
        return [i for i, column in enumerate(features.names) if column.startswith("encoding:")]
    if KINDS[name].features == "plain and auxiliary":
        return np.r_[:plain, own : features.dim]
    parts = {"plain": (0, plain), "wiring": (plain, own), "all": (0, own), "auxiliary": (own, None)}
    return slice(*parts[KINDS[name].features])


def fit_part(name: str, inputs: np.ndarray, targets: np.ndarray, seed: int, features: Features) -> Any:
    """Fit a part to its features (n, F) and standardised targets (n, T)."""
    model = KINDS[name].model
    if model is SharesAndRidge:
        return model.fit(inputs, targets, features.plain_dim)
    return model.fit(inputs, targets, seed, _TREES) if model is Trees else model.fit(inputs, targets)


def held_out_predictions(
    name: str, fitted: Any, inputs: np.ndarray, targets: np.ndarray, absent: np.ndarray, seed: int, features: Features
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the part predicts for each held-out label from the others, fold after fold, and the deviations.

    Args:
        fitted: the part fitted to all labels, whose hyper-parameters are kept.
        absent: (folds, n) bool.
    """
    refit: Callable[..., Any] = KINDS[name].model.fit
    options: dict[str, Any] = {"seed": seed, "trees": _FOLD_TREES} if isinstance(fitted, Trees) else {}
    if isinstance(fitted, SharesAndRidge):
        options = {"first": features.plain_dim}
    if isinstance(fitted, MultiTargetGaussianProcess):
        options = {"logs": fitted.logs}
    found = [predict_part(refit(inputs[~fold], targets[~fold], **options), inputs[fold]) for fold in absent]
    mean, deviation = (np.concatenate(column) for column in zip(*found, strict=True))
    return mean, deviation


def predict_part(model: Any, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation (N, T) of a part; only trees have a deviation, others 0."""
    if isinstance(model, Trees):
        return model.predict(inputs)
    mean = model.predict(inputs)
    return mean, np.zeros_like(mean)


def part_from_arrays(name: str, arrays: Mapping[str, np.ndarray], features: Features, targets: int, source: str) -> Any:
    """Return a part from its arrays. Raises ValueError where they are damaged."""
    kind = KINDS[name]
    dim = len(np.arange(features.dim)[_columns(name, features)])
    if kind.model is not Trees:
        return kind.model.from_arrays(arrays, dim, targets, source)
    trees = Trees.from_arrays(arrays, dim, source)
    if trees.leaves.shape[1] != targets:
        raise ValueError(f"{source}: trees of {trees.leaves.shape[1]} targets, expected {targets}")
    return trees
