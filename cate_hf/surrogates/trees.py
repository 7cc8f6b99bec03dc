"""Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006): fitted by scikit-learn, kept as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cate_hf.core._compiled import compiled
from cate_hf.core._parallel import over_chunks

__all__ = ["Trees"]

_CHUNK = 1024
_LEAF = -1
_ARRAYS = {"feature": np.int16, "threshold": np.float32, "link": np.int32, "roots": np.int32, "leaves": np.float32}


@dataclass(frozen=True)
class Trees:
    """A forest as flat arrays; a node's left child is the node after it.

    Attributes:
        feature: (M,) int16 of each node, -1 of a leaf.
        threshold: (M,) float32: left where the feature is not above it.
        link: (M,) int32: the right child, of a leaf its row of `leaves`.
        roots: (trees,) int32.
        leaves: (L, T) float32 values of T targets.
    """

    feature: np.ndarray
    threshold: np.ndarray
    link: np.ndarray
    roots: np.ndarray
    leaves: np.ndarray

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        targets: np.ndarray,
        seed: int,
        trees: int = 300,
        max_features: float = 0.4,
        min_leaf: int = 2,
        jobs: int | None = None,
    ) -> "Trees":
        """Features (n, D) float32, targets (n, T)."""
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(
            trees, max_features=max_features, min_samples_leaf=min_leaf, random_state=seed, n_jobs=jobs
        )
        forest.fit(features, targets[:, 0] if targets.shape[1] == 1 else targets)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in _ARRAYS}
        nodes = leaves = 0
        for estimator in forest.estimators_:
            tree = estimator.tree_
            is_leaf = tree.children_left == _LEAF
            # scikit-learn compares float32 features with float64 thresholds; the next lower float32 decides the same.
            exact = tree.threshold
            threshold = exact.astype(np.float32)
            above = threshold > exact
            threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
            link = np.where(is_leaf, leaves + np.cumsum(is_leaf) - 1, tree.children_right + nodes)
            parts["feature"].append(np.where(is_leaf, _LEAF, tree.feature).astype(np.int16))
            parts["threshold"].append(np.where(is_leaf, np.float32(0), threshold))
            parts["link"].append(link.astype(np.int32))
            parts["roots"].append(np.array([nodes], np.int32))
            parts["leaves"].append(tree.value[is_leaf, :, 0].astype(np.float32))
            nodes, leaves = nodes + tree.node_count, leaves + int(is_leaf.sum())
        return cls(**{name: np.concatenate(part) for name, part in parts.items()})

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation over the trees, (N, T) float64 each; features (N, D) float32."""
        features = np.ascontiguousarray(features, np.float32)
        targets = self.leaves.shape[1]

        def part(rows: slice) -> tuple[np.ndarray, np.ndarray]:
            total, squares = np.zeros((2, len(features[rows]), targets))
            arrays = (self.feature, self.threshold, self.link, self.roots, self.leaves)
            _sum_leaves(features[rows], *arrays, total, squares)
            return total, squares

        parts = over_chunks(part, len(features), _CHUNK)
        if not parts:
            return np.empty((0, targets)), np.empty((0, targets))
        total, squares = (np.concatenate(sums) / len(self.roots) for sums in zip(*parts, strict=True))
        return total, np.sqrt(np.maximum(squares - total**2, 0))

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the forest, by name."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], dim: int, source: str = "trees") -> "Trees":
        """The inverse of `arrays`, for D = `dim` features.

        Raises:
            ValueError: arrays that are no forest: following one would read outside of them, or not end.
        """
        if missing := [name for name in _ARRAYS if name not in arrays]:
            raise ValueError(f"{source}: its trees lack {missing[0]!r}")
        found = cls(**{name: np.ascontiguousarray(arrays[name], kind) for name, kind in _ARRAYS.items()})
        count = len(found.feature)
        leaf = found.feature == _LEAF
        after = np.arange(1, count + 1)
        sound = (
            found.leaves.ndim == 2
            and all(getattr(found, name).shape == (count,) for name in ("feature", "threshold", "link"))
            and found.roots.ndim == 1
            and len(found.roots) > 0
            and bool(((found.roots >= 0) & (found.roots < count)).all())
            and bool(((found.feature >= _LEAF) & (found.feature < dim)).all())
            and bool(((found.link[leaf] >= 0) & (found.link[leaf] < len(found.leaves))).all())
            and bool(((found.link[~leaf] > after[~leaf]) & (found.link[~leaf] < count)).all())
            and bool(leaf[-1:].all())
        )
        if not sound:
            raise ValueError(f"{source}: its trees are damaged")
        return found


@compiled(nogil=True)
def _sum_leaves(features, feature, threshold, link, roots, leaves, total, squares):
    """Adds up leaves and their squares; a tree at a time, so that it stays in the cache."""
    rows, targets = total.shape
    for root in roots:
        for row in range(rows):
            node = root
            while feature[node] >= 0:
                node = node + 1 if features[row, feature[node]] <= threshold[node] else link[node]
            for target in range(targets):
                value = leaves[link[node], target]
                total[row, target] += value
                squares[row, target] += value * value
