"""Sums of regression trees, as the gradient boosted models of NAS-Bench-301 are, evaluated for many rows at once.

XGBoost and LightGBM read their models with parsers that a damaged or hostile file can crash, and that change with
their versions. So models are brought to these arrays and checked, and neither package is needed.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

_CHUNK = 512  # rows of 56 numbers that stay in a core's cache together with a tree
LEAF = -1


class Unsupported(ValueError):
    """A sound model, but of a kind that is not read here."""


class Tree(NamedTuple):
    """One tree; node 0 is its root.

    Attributes:
        features: (M,) which number of a row a node looks at.
        thresholds: (M,) a row goes left where that number is at most this.
        left, right: (M,) the node that a row goes to, `LEAF` in leaves.
        values: (M,) what a leaf adds to the sum.
    """

    features: np.ndarray
    thresholds: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray


class Trees(NamedTuple):
    """A sum of trees: the arrays of `Tree` end to end, node numbers counted over all, and `base` added to the sum.

    Attributes:
        roots: (T,) int64.
        single: whether numbers are compared and added in float32.
    """

    roots: np.ndarray
    features: np.ndarray
    thresholds: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray
    base: float
    single: bool

    @property
    def number(self) -> int:
        return len(self.roots)


def join(trees: Sequence[Tree], num_features: int, base: float = 0.0, single: bool = False) -> Trees:
    """Trees whose nodes come after their parents.

    Raises:
        ValueError: naming the tree and what is wrong with it.
    """
    if not trees:
        raise ValueError("it has no trees")
    if not np.isfinite(base):
        raise ValueError(f"its base score is {base}")
    sizes = np.array([len(tree.left) for tree in trees])
    for number, tree in enumerate(trees):
        _check(tree, num_features, number)
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    features, thresholds, left, right, values = (np.concatenate(parts) for parts in zip(*trees, strict=True))
    shift = np.repeat(roots, sizes)
    inner = left != LEAF
    left, right = (np.where(inner, part + shift, LEAF) for part in (left, right))
    return Trees(
        roots,
        np.where(inner, features, 0).astype(np.int32),
        np.where(inner, thresholds, 0.0).astype(np.float64),
        left.astype(np.int64),
        right.astype(np.int64),
        np.where(inner, 0.0, values).astype(np.float64),
        float(base),
        single,
    )


def _check(tree: Tree, num_features: int, number: int) -> None:
    sizes = {len(part) for part in tree}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"tree {number}: its arrays have {sorted(sizes)} entries, expected one a node")
    inner = tree.left != LEAF
    own = np.arange(len(tree.left))
    if ((tree.right != LEAF) != inner).any():
        raise ValueError(f"tree {number}: a node has one child")
    for children in (tree.left[inner], tree.right[inner]):
        if (children <= own[inner]).any() or (children >= len(own)).any():
            raise ValueError(f"tree {number}: a child is not a later node of the tree")
    if ((tree.features[inner] < 0) | (tree.features[inner] >= num_features)).any():
        raise ValueError(f"tree {number}: looks at a feature above {num_features - 1}")
    if not (np.isfinite(tree.thresholds[inner]).all() and np.isfinite(tree.values[~inner]).all()):
        raise ValueError(f"tree {number}: has numbers that are not finite")


def predict(trees: Trees, rows: np.ndarray) -> np.ndarray:
    """(N,) float64 sums for rows (N, num_features)."""
    rows = np.ascontiguousarray(rows.astype(np.float32) if trees.single else rows, dtype=np.float64)
    # XGBoost adds in float32, LightGBM in float64; in the order of the trees both.
    kind = np.float32 if trees.single else np.float64
    sums, values = np.full(len(rows), trees.base, dtype=kind), trees.values.astype(kind)
    add = _adder()

    def work(first: int) -> None:
        part = slice(first, first + _CHUNK)
        add(*trees[:5], values, rows[part], sums[part])

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # compiled code lets threads run side by side
        list(pool.map(work, range(0, len(rows), _CHUNK)))
    return sums.astype(np.float64)


@lru_cache(maxsize=1)
def _adder() -> Callable[..., Any]:
    from cate_hf.graphs.graph_hash import compiled

    return compiled(nogil=True)(_add)


def _add(roots, features, thresholds, left, right, values, rows, sums) -> None:
    for root in roots:
        for row in range(len(rows)):
            node = root
            while left[node] >= 0:
                node = left[node] if rows[row, features[node]] <= thresholds[node] else right[node]
            sums[row] += values[node]
