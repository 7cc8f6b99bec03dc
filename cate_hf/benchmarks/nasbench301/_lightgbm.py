"""LightGBM's text form of a model (`Booster.model_to_string`), read as trees.

A header of key=value lines, then a block of such lines a tree, begun by `Tree=number`. Inner nodes and leaves are
numbered apart; a child below 0 is leaf ~child.
"""

import numpy as np

from cate_hf.benchmarks.nasbench301._trees import LEAF, Tree, Trees, Unsupported, join

_VERSIONS = ("v2", "v3", "v4")
_CATEGORICAL, _MISSING, _ZERO_IS_MISSING = 1, 12, 4  # bits of decision_type


def read_lightgbm(text: str, num_features: int, iterations: int = 0) -> Trees:
    """The trees of a regression model.

    Args:
        iterations: how many of the trees count; all when 0.

    Raises:
        ValueError: not such a model, or one with more than plain numeric splits; one line without the file's name.
    """
    head, *blocks = text.split("\nTree=")
    if not head.startswith("tree") or not blocks:
        raise ValueError("not the text of a LightGBM model")
    header = _pairs(head)
    for key, allowed in (("version", _VERSIONS), ("num_class", ("1",)), ("num_tree_per_iteration", ("1",))):
        if header.get(key) not in allowed:
            raise Unsupported(f"its {key} is {header.get(key)!r:.40}, expected {' or '.join(allowed)}")
    if header.get("max_feature_idx") != str(num_features - 1):
        raise Unsupported(f"its max_feature_idx is {header.get('max_feature_idx')!r:.40}, not {num_features - 1}")
    if header.get("objective") != "regression" or "average_output" in head.split():
        raise Unsupported(f"its objective is {header.get('objective')!r:.40}, expected a boosted 'regression'")
    blocks[-1], end, _ = blocks[-1].partition("\nend of trees")
    if not end or len(blocks) != len(header.get("tree_sizes", "").split()):
        raise ValueError("its text ends before the last tree; it is truncated")
    trees = []
    for number, block in enumerate(blocks[: iterations or None]):
        try:
            trees.append(_tree(_pairs(block)))
        except Unsupported as error:
            raise Unsupported(f"tree {number}: {error}") from None
        except (ValueError, KeyError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0][:120]
            raise ValueError(f"tree {number}: {reason}") from None
    if iterations > len(blocks):
        raise ValueError(f"its best iteration is {iterations}, it has {len(blocks)} trees")
    return join(trees, num_features)


def _pairs(block: str) -> dict[str, str]:
    return {key: value for key, equals, value in (line.partition("=") for line in block.split("\n")) if equals}


def _tree(pairs: dict[str, str]) -> Tree:
    """Inner nodes first, then the leaves."""
    leaves = int(pairs["num_leaves"])
    inner = leaves - 1
    if leaves < 1 or pairs.get("num_cat", "0") != "0" or pairs.get("is_linear", "0") != "0":
        raise Unsupported("has categorical splits or linear leaves, or no leaf")
    values = _numbers(pairs, "leaf_value", leaves)
    if not inner:
        none = np.zeros(1)
        return Tree(none, none, np.array([LEAF]), np.array([LEAF]), values)
    kinds = _whole(pairs, "decision_type", inner)
    if (kinds & _CATEGORICAL).any() or (kinds & _MISSING == _ZERO_IS_MISSING).any():
        raise Unsupported("has categorical splits, or takes 0 for missing")
    left, right = (_whole(pairs, f"{side}_child", inner) for side in ("left", "right"))
    if min(left.min(), right.min()) < -leaves:
        raise ValueError("a child is a leaf that it has not")
    left, right = (np.where(part < 0, inner + ~part, part) for part in (left, right))
    none, no_child = np.zeros(leaves), np.full(leaves, LEAF)
    return Tree(
        np.concatenate([_whole(pairs, "split_feature", inner), none]),
        np.concatenate([_numbers(pairs, "threshold", inner), none]),
        np.concatenate([left, no_child]),
        np.concatenate([right, no_child]),
        np.concatenate([np.zeros(inner), values]),
    )


def _numbers(pairs: dict[str, str], key: str, number: int) -> np.ndarray:
    values = np.array(pairs[key].split(), dtype=np.float64)
    if len(values) != number:
        raise ValueError(f"{key} has {len(values)} numbers, expected {number}")
    return values


def _whole(pairs: dict[str, str], key: str, number: int) -> np.ndarray:
    values = np.array(pairs[key].split(), dtype=np.int64)
    if len(values) != number:
        raise ValueError(f"{key} has {len(values)} numbers, expected {number}")
    return values
