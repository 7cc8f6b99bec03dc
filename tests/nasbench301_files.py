"""Files of NAS-Bench-301 in the forms that are published, made up: labels, an ONNX surrogate, ensembles."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np

from cate_hf import get_space
from cate_hf.spaces.darts.genotypes import OPERATIONS, CellPair

SPACE = get_space("darts")
PREFIX = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"


def sample_pairs(n: int, seed: int) -> list[CellPair]:
    """n pairs of different cells."""
    cells = list(SPACE.sample(2 * n, seed))
    return [CellPair(*pair) for pair in zip(cells[::2], cells[1::2], strict=True)]


def outcome(call):
    """What a call gives, and the message of the ValueError that it raises instead."""
    try:
        return call(), None
    except ValueError as error:
        return None, str(error)


# Labels


def write_labels(path: Path, pairs: list[CellPair], **columns) -> None:
    """A labels table; columns beside the genotypes as they are given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    entry = pa.struct([("operation", pa.string()), ("input", pa.int8())])

    def cells(name: str) -> pa.Array:
        rows = [[{"operation": o, "input": i} for o, i in SPACE.genotype(getattr(pair, name))] for pair in pairs]
        return pa.array(rows, pa.list_(entry))

    pq.write_table(pa.table({"normal": cells("normal"), "reduce": cells("reduction"), **columns}), path)


# The ONNX surrogate


def hyperparameters() -> list[str]:
    """The 34 in the order of the surrogate's input, as its documentation states it."""
    cells = ("normal", "reduce")
    edges = [f"edge_{cell}_{edge}" for cell in cells for edge in range(14)]
    return edges + [f"inputs_node_{cell}_{node}" for cell in cells for node in (3, 4, 5)]


def encoding() -> dict[str, dict[str, int]]:
    """Categories by name, the absent one first."""
    result = {}
    for name in hyperparameters():
        if name.startswith("edge"):
            categories = sorted(OPERATIONS)
        else:
            node = int(name[-1])
            categories = sorted(f"{i}_{j}" for j in range(node) for i in range(j))
        result[PREFIX + name] = {category: code for code, category in enumerate(["#na#", *categories])}
    return result


def weights(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, (34, 2)).astype(np.float32)


def expected(pair: CellPair, epoch: float = 98) -> np.ndarray:
    """What `write_onnx`'s surrogate gives for a pair, worked out from its configuration: accuracy and seconds."""
    settings = {name.rpartition(":")[2]: value for name, value in SPACE.configuration(pair).items()}
    codes = [encoding()[PREFIX + name][settings.get(name, "#na#")] for name in hyperparameters()]
    linear = np.array(codes) @ weights().astype(np.float64) + np.array([0.5, 1.0]) * epoch / 98
    return 1 / (1 + np.exp(-linear)) * [1, 10_000]


def onnx_model(batch=1, categories=34, outputs=2, external=False, mean=False, scale=(100.0, 10_000.0)):
    """sigmoid(x_cat · weights + x_cont · slope) · scale; `mean` adds the batch's mean."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values) -> TensorProto:
        return numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)

    initial = [
        constant("weights", np.resize(weights(), (categories, outputs))),
        constant("slope", np.resize([0.5 / 98, 1 / 98], (1, outputs))),
        constant("scale", np.resize(scale, outputs)),
    ]
    if external:
        initial[0].data_location = TensorProto.EXTERNAL
    nodes = [
        helper.make_node("Cast", ["x_cat"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "weights"], ["a"]),
        helper.make_node("MatMul", ["x_cont", "slope"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["d"]),
    ]
    if mean:
        nodes += [
            helper.make_node("ReduceMean", ["d"], ["m"], axes=[0], keepdims=1),
            helper.make_node("Mul", ["d", "m"], ["e"]),
        ]
    nodes.append(helper.make_node("Mul", ["e" if mean else "d", "scale"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "surrogate",
        [
            helper.make_tensor_value_info("x_cat", TensorProto.INT32, [batch, categories]),
            helper.make_tensor_value_info("x_cont", TensorProto.FLOAT, [batch, 1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, outputs])],
        initial,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=6)


def write_onnx(folder: Path, model=None) -> Path:
    (folder / "surrogate_encoding.json").write_text(json.dumps(encoding()))
    path = folder / "surrogate.onnx"
    path.write_bytes((onnx_model() if model is None else model).SerializeToString())
    return path


# Ensembles


def write_member(folder: Path, model: bytes, kind: str, **config) -> Path:
    """One member as the official code saves it."""
    folder.mkdir(parents=True)
    (folder / "surrogate_model.model").write_bytes(model)
    (folder / "model_config.json").write_text(json.dumps({"model": kind, "param:bananas_enc": False, **config}))
    (folder / "data_config.json").write_text(json.dumps({"seed": 6}))
    return folder / "surrogate_model.model"


def pickled(module: str, state: dict, protocol: int = 4) -> bytes:
    """A pickled `Booster` of a module, in the shape that its own package pickles it."""
    start = b"\x80" + bytes([protocol]) + b"c" + f"{module}\nBooster\n".encode() + b")\x81"
    return start + pickle.dumps(state, protocol)[:-1] + b"b."


def random_trees(number: int, seed: int, features: int = 56, depth: int = 4) -> list[dict[str, list]]:
    """Trees in XGBoost's arrays, their nodes numbered level by level."""
    rng = np.random.default_rng(seed)
    trees = []
    for _ in range(number):
        left, right, split, value, level = [], [], [], [], [0]
        for _ in range(depth):
            following = []
            for _ in level:
                leaf = len(left) > 0 and rng.random() < 0.3
                children = [-1, -1] if leaf else [0, 0]
                left.append(children[0])
                right.append(children[1])
                split.append(int(rng.integers(features)))
                value.append(float(np.float32(rng.normal(0, 2))))
                following += [] if leaf else [len(left) - 1] * 2
            level = following
        place = iter(range(1, 10**6))
        for node in range(len(left)):
            if left[node] == 0:
                left[node], right[node] = next(place), next(place)
        for _ in range(max([*left, *right]) + 1 - len(left)):
            left.append(-1)
            right.append(-1)
            split.append(0)
            value.append(float(np.float32(rng.normal(0, 2))))
        trees.append(
            {"left_children": left, "right_children": right, "split_indices": split, "split_conditions": value}
        )
    return trees


def sum_of_trees(trees: list[dict[str, list]], rows: np.ndarray, base: float = 0.5) -> np.ndarray:
    """XGBoost's rule, one row and one node at a time."""
    result = []
    for row in rows.astype(np.float32):
        total = np.float32(base)
        for tree in trees:
            node = 0
            while tree["left_children"][node] != -1:
                below = row[tree["split_indices"][node]] < np.float32(tree["split_conditions"][node])
                node = tree["left_children" if below else "right_children"][node]
            total += np.float32(tree["split_conditions"][node])
        result.append(total)
    return np.array(result, dtype=np.float64)


def xgboost_document(trees: list[dict[str, list]], features: int = 56, booster: str = "gbtree", **tree_fields) -> dict:
    """The JSON of XGBoost 1.3 to 2.0."""

    def whole(number: int, tree: dict[str, list]) -> dict:
        size = len(tree["left_children"])
        parents = np.full(size, 2**31 - 1)
        for children in (tree["left_children"], tree["right_children"]):
            parents[[child for child in children if child >= 0]] = np.flatnonzero(np.array(children) >= 0)
        numbers = {name: [0.0] * size for name in ("base_weights", "loss_changes", "sum_hessian")}
        codes = {name: [] for name in ("categories", "categories_nodes", "categories_segments", "categories_sizes")}
        flags = {name: [0] * size for name in ("default_left", "split_type")}
        sizes = {"num_deleted": "0", "num_feature": str(features), "num_nodes": str(size), "size_leaf_vector": "0"}
        beside = {"id": number, "parents": parents.tolist(), "tree_param": sizes}
        return {**numbers, **codes, **flags, **beside, **tree, **tree_fields}

    model = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees)), "size_leaf_vector": "0"},
        "tree_info": [0] * len(trees),
        "trees": [whole(number, tree) for number, tree in enumerate(trees)],
    }
    learner = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"model": model, "name": booster},
        "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": str(features)},
        "objective": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return {"Config": {}, "Model": {"learner": learner, "version": [1, 3, 0]}}


def xgboost_binary(
    trees: list[dict[str, list]], features: int = 56, objective: str = "reg:squarederror", version: str = "1.2"
) -> bytes:
    """The binary model of XGBoost 1.0 to 1.2 with its settings behind it; "0.90" has no header, "1.0" a shorter one."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    data = b"binf" if version == "1.2" else b""
    data += struct.pack("<fIi", 0.5, features, 0).ljust(136, b"\0") + text(objective) + text("gbtree")
    data += struct.pack("<iiiiqi", len(trees), 1, features, 0, 0, 1).ljust(160, b"\0")
    for tree in trees:
        data += struct.pack("<iiiiii", 1, len(tree["left_children"]), 0, 0, features, 0).ljust(148, b"\0")
        for left, right, split, value in zip(
            *(tree[name] for name in ("left_children", "right_children", "split_indices", "split_conditions")),
            strict=True,
        ):
            default_left = 1 << 31 if split % 2 and split < 1 << 31 else 0
            data += struct.pack("<iiiIf", -1, left, right, split | default_left, value)
        data += bytes(16 * len(tree["left_children"]))
    data += bytes(4 * len(trees)) + struct.pack("<Q", 0)
    return data if version == "0.90" else b"CONFIG-offset:" + struct.pack("<q", len(data)) + data + b'{"learner":{}}'


def lightgbm_text(trees: list[dict[str, list]], features: int = 56, **header) -> str:
    """The same trees as LightGBM writes them: inner nodes and leaves numbered apart."""
    blocks = []
    for number, tree in enumerate(trees):
        left, right = tree["left_children"], tree["right_children"]
        inner = [node for node in range(len(left)) if left[node] != -1]
        leaves = [node for node in range(len(left)) if left[node] == -1]
        name = {node: place for place, node in enumerate(inner)} | {node: ~place for place, node in enumerate(leaves)}
        lines = {
            "num_leaves": len(leaves),
            "num_cat": 0,
            "split_feature": " ".join(str(tree["split_indices"][node]) for node in inner),
            "threshold": " ".join(repr(tree["split_conditions"][node]) for node in inner),
            "decision_type": " ".join("2" for _ in inner),
            "left_child": " ".join(str(name[left[node]]) for node in inner),
            "right_child": " ".join(str(name[right[node]]) for node in inner),
            "leaf_value": " ".join(repr(tree["split_conditions"][node]) for node in leaves),
            "shrinkage": 1,
        }
        blocks.append(f"Tree={number}\n" + "".join(f"{key}={value}\n" for key, value in lines.items()) + "\n\n")
    lines = {
        "version": "v3",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "label_index": 0,
        "max_feature_idx": features - 1,
        "objective": "regression",
        "tree_sizes": " ".join(str(len(block)) for block in blocks),
    }
    head = "tree\n" + "".join(f"{key}={value}\n" for key, value in {**lines, **header}.items()) + "\n"
    return head + "".join(blocks) + "end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n"
