"""The bytes that a pickled XGBoost booster holds, read as trees.

Three forms (dmlc/xgboost, src/learner.cc and src/tree): up to 1.2 the binary model, from 1.0 on behind
"CONFIG-offset:" and an offset, settings as JSON after it; from 1.3 JSON {"Model": ..., "Config": ...}; from 2.1 the
same in Universal Binary JSON. The official models are of 2020, before 1.3.
"""

import json
import struct
from typing import Any

import numpy as np

from cate_hf.benchmarks.nasbench301._trees import LEAF, Tree, Trees, Unsupported, join

_OBJECTIVES = ("reg:squarederror", "reg:linear")  # the second is the first one's older name
_CONFIG_HEADER = b"CONFIG-offset:"
_BINARY_HEADER = b"binf"
_LEARNER_BYTES, _FOREST_BYTES, _TREE_BYTES = 136, 160, 148
_NODE = np.dtype([("parent", "<i4"), ("left", "<i4"), ("right", "<i4"), ("feature", "<u4"), ("value", "<f4")])
_STATISTICS_BYTES = 16  # of a node
_DEFAULT_LEFT = np.uint32(1 << 31)
_DELETED = np.uint32(0xFFFFFFFF)
_LONGEST_NAME = 100


def read_xgboost(data: bytes, num_features: int) -> Trees:
    """The trees of a regression model.

    Raises:
        ValueError: not such a model, or one with more than plain numeric splits; one line without the file's name.
    """
    if data.startswith(_CONFIG_HEADER):
        start = len(_CONFIG_HEADER) + 8
        return _read_binary(data[start:], num_features)
    if data[:2] == b'{"':
        try:
            return _read_document(json.loads(data), num_features)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            raise ValueError("its JSON is damaged") from None
    if data[:1] == b"{":
        from cate_hf.benchmarks.nasbench301._ubjson import read_ubjson

        return _read_document(read_ubjson(data), num_features)
    return _read_binary(data, num_features)


def _join(trees: list[Tree], num_features: int, base: float) -> Trees:
    # XGBoost compares float32 numbers, and goes left where one is below the threshold.
    with np.errstate(all="ignore"):
        trees = [
            tree._replace(thresholds=np.nextafter(tree.thresholds.astype(np.float32), np.float32(-np.inf)))
            for tree in trees
        ]
    return join(trees, num_features, base, single=True)


def _read_document(document: Any, num_features: int) -> Trees:
    try:
        learner = document["Model"]["learner"]
        objective, booster = learner["objective"]["name"], learner["gradient_booster"]["name"]
        settings = learner["learner_model_param"]
        features, base = int(settings["num_feature"]), float(str(settings["base_score"]).strip("[]"))
        outputs = max(int(settings.get("num_class", 0)), int(settings.get("num_target", 1)))
        _check_kind(objective, booster, features, outputs, num_features)
        trees = [_document_tree(tree) for tree in learner["gradient_booster"]["model"]["trees"]]
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"not an XGBoost model: {type(error).__name__} at {error!s:.60}") from None
    return _join(trees, num_features, base)


def _check_kind(objective: Any, booster: Any, features: int, outputs: int, num_features: int) -> None:
    if booster != "gbtree" or objective not in _OBJECTIVES or outputs > 1:
        raise Unsupported(
            f"a {booster!r:.40} model of {outputs} outputs for {objective!r:.40}; expected gbtree for {_OBJECTIVES[0]}"
        )
    if features != num_features:
        raise Unsupported(f"a model of {features} features, expected {num_features}")


def _document_tree(tree: dict[str, Any]) -> Tree:
    if np.any(np.asarray(tree.get("split_type", 0))) or len(tree.get("categories", ())):
        raise Unsupported("it has categorical splits")
    left, right, features = (np.asarray(tree[name]) for name in ("left_children", "right_children", "split_indices"))
    with np.errstate(over="ignore"):
        values = np.asarray(tree["split_conditions"], dtype=np.float32)
    for name, part in (("children", left), ("children", right), ("split_indices", features)):
        if part.ndim != 1 or part.dtype.kind not in "iu":
            raise ValueError(f"a tree's {name} are not whole numbers")
    if values.shape != left.shape or right.shape != left.shape or features.shape != left.shape:
        raise ValueError("a tree's arrays differ in length")
    return _kept(left.astype(np.int64), right.astype(np.int64), features.astype(np.int64), values)


def _kept(left: np.ndarray, right: np.ndarray, features: np.ndarray, values: np.ndarray) -> Tree:
    """A tree without the nodes that pruning deleted, which are still in the arrays."""
    kept = features != int(_DELETED)
    if kept.all():
        return Tree(features, values, left, right, values)
    number = np.cumsum(kept) - 1
    inner = kept & (left >= 0) & (left < len(kept)) & (right >= 0) & (right < len(kept))
    if (kept & (left != LEAF) & ~inner).any():
        raise ValueError("a tree has a child outside itself")
    left, right = (np.where(inner, number[np.where(inner, part, 0)], LEAF)[kept] for part in (left, right))
    return Tree(features[kept], values[kept], left, right, values[kept])


class _Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.at:
            raise ValueError("its binary model ends too early; it is truncated")
        self.at += size
        return self.data[self.at - size : self.at]

    def name(self) -> str:
        (size,) = struct.unpack("<Q", self.take(8))
        if size > _LONGEST_NAME:
            raise ValueError("not an XGBoost model")
        return self.take(size).decode("latin1")


def _read_binary(data: bytes, num_features: int) -> Trees:
    reader = _Reader(data)
    if data.startswith(_BINARY_HEADER):
        reader.take(len(_BINARY_HEADER))
    base, features, outputs = struct.unpack_from("<fIi", reader.take(_LEARNER_BYTES))
    objective, booster = reader.name(), reader.name()
    _check_kind(objective, booster, features, outputs, num_features)
    (number,) = struct.unpack_from("<i", reader.take(_FOREST_BYTES))
    trees = []
    for _ in range(number):
        (nodes,) = struct.unpack_from("<i", reader.take(_TREE_BYTES), 4)
        node = np.frombuffer(reader.take(nodes * _NODE.itemsize), dtype=_NODE)
        reader.take(nodes * _STATISTICS_BYTES)
        split = np.where(node["feature"] == _DELETED, _DELETED, node["feature"] & ~_DEFAULT_LEFT)
        trees.append(
            _kept(node["left"].astype(np.int64), node["right"].astype(np.int64), split.astype(np.int64), node["value"])
        )
    return _join(trees, num_features, base)
