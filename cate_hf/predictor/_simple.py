"""The simple parts of a predictor: what is fitted to features of architectures, beside the fine-tuned members."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cate_hf.predictor._features import Features
from cate_hf.surrogates.multi_target import MultiTargetGaussianProcess
from cate_hf.surrogates.ridge import Ridge
from cate_hf.surrogates.trees import Trees

MOST_LABELS = 5000  # of a Gaussian process, whose time grows with their cube
_TREES, _FOLD_TREES = 200, 60


class Kind(NamedTuple):
    """What a part is, and which features it sees: "plain" (statistics and encoding), "encoding", "wiring", or "all".

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
}
"""Name -> kind, in the order in which a predictor has them."""
MEMBERS_HEAD_START = -0.04  # of few labels fine-tuning is behind a Gaussian process on the encoding


def chosen_kinds(features: Features, labels: int, gp: bool, trees: bool) -> list[str]:
    """Return the names of the parts that a predictor of so many labels has; ridge regressions come with any other."""
    wanted = {MultiTargetGaussianProcess: gp and labels <= MOST_LABELS, Trees: trees, Ridge: gp or trees}
    return [
        name for name, kind in KINDS.items() if wanted[kind.model] and (kind.features == "plain" or features.has_wiring)
    ]


def seen_by(name: str, features: Features, values: np.ndarray) -> np.ndarray:
    """Return the columns of all features (N, F) that a part sees."""
    return values[:, _columns(name, features)]


def _columns(name: str, features: Features) -> Any:
    """A slice, or of the encoding, which may lie between statistics, the numbers of its columns."""
    plain = features.plain_dim
    if KINDS[name].features == "encoding":
        return [i for i, column in enumerate(features.names) if column.startswith("encoding:")]
    return {"plain": slice(plain), "wiring": slice(plain, None), "all": slice(None)}[KINDS[name].features]


def fit_part(name: str, inputs: np.ndarray, targets: np.ndarray, seed: int) -> Any:
    """Fit a part to its features (n, F) and standardised targets (n, T)."""
    model = KINDS[name].model
    return model.fit(inputs, targets, seed, _TREES) if model is Trees else model.fit(inputs, targets)


def held_out_predictions(
    name: str, fitted: Any, inputs: np.ndarray, targets: np.ndarray, absent: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the part predicts for each held-out label from the others, fold after fold, and the deviations.

    Args:
        fitted: the part fitted to all labels, whose hyper-parameters are kept.
        absent: (folds, n) bool.
    """
    refit: Callable[..., Any] = KINDS[name].model.fit
    options: dict[str, Any] = {"seed": seed, "trees": _FOLD_TREES} if isinstance(fitted, Trees) else {}
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
