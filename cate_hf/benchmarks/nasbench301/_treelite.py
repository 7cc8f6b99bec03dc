"""Boosted trees of XGBoost and LightGBM, read by treelite in a process of its own.

treelite parses in C++ what may be a damaged or hostile file, and one that lies about its size or has a loop in a tree
can crash it or keep it busy for ever. So another process reads it, with limits of memory and time, checks every tree,
and hands back treelite's own plain form of the model. Run as a script, this file is that process.
"""

import io
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_CONFIG_HEADER = b"CONFIG-offset:"  # XGBoost 1.0 to 1.2: the binary model behind it and an offset
_FRAME = struct.Struct("<cQ")
_BYTES, _SECONDS = 4 << 30, 300
_NUMBERS = 1 << 22  # leaf values that are held at a time
_INNER = ("split_feature", "threshold", "decision_type", "left_child", "right_child")  # of LightGBM's inner nodes
_MISSING, _ZERO_IS_MISSING = 12, 4  # bits of decision_type
_TREE_FIELDS = ("cleft", "cright", "split_index", "threshold", "leaf_value")


class Booster(NamedTuple):
    """A sum of regression trees: a treelite model, how many of its trees count, and what is added to their sum."""

    model: Any
    trees: int
    base: float

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(N,) float64 for rows (N, num_features), summed in the package's own order and precision: bit for bit."""
        from treelite.gtil import predict_per_tree

        from cate_hf.core._parallel import num_threads

        kind = np.dtype(self.model.input_type)  # float32 of XGBoost, float64 of LightGBM
        rows = np.ascontiguousarray(rows, dtype=kind)
        result, step = np.empty(len(rows)), max(1, _NUMBERS // self.model.num_tree)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            leaves = predict_per_tree(self.model, rows[part], nthread=num_threads()).reshape(len(rows[part]), -1)
            leaves[:, 0] += kind.type(self.base)
            result[part] = np.add.accumulate(leaves[:, : self.trees], axis=1, dtype=kind)[:, -1]
        return result


def read_boosters(models: Sequence[tuple[Path, bytes, int]], package: str, num_features: int) -> list[Booster]:
    """The boosters of one ensemble.

    Args:
        models: the file that errors name, the model as its package writes it, and how many of its trees count (0: all).
        package: "xgboost" or "lightgbm".

    Raises:
        ValueError: treelite is not installed, or a model is not a sound sum of trees; one line that names the file.
    """
    try:
        import treelite
    except ImportError:
        raise ValueError(f"{models[0][0]}: needs the package treelite: pip install 'cate_hf[nb301]'") from None
    frames = [_frame(_form(data, package), data) for _, data, _ in models]
    command = [sys.executable, "-I", __file__, str(num_features)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads reserve address space
    said = subprocess.run(
        command, input=b"".join(frames), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    answers = list(_read_frames(io.BytesIO(said.stdout)))
    result = []
    for number, (path, _, trees) in enumerate(models):
        kind, content = answers[number] if number < len(answers) else (b"-", b"treelite cannot read it; it is damaged")
        if kind == b"-":
            raise ValueError(f"{path}: {content.decode(errors='replace')}")
        model = treelite.Model.deserialize_bytes(content)
        if trees > model.num_tree:
            raise ValueError(f"{path}: its best iteration is {trees}, it has {model.num_tree} trees")
        base = float(model.get_header_accessor().get_field("base_scores")[0])
        result.append(Booster(model, trees or model.num_tree, base))
    return result


def _form(data: bytes, package: str) -> bytes:
    """The letter of the loader: JSON, Universal Binary JSON or binary of XGBoost, text of LightGBM."""
    if package == "lightgbm":
        return b"L"
    return b"J" if data[:2] == b'{"' else b"U" if data[:1] == b"{" else b"B"


def _frame(kind: bytes, content: bytes) -> bytes:
    return _FRAME.pack(kind, len(content)) + content


def _read_frames(file: BinaryIO) -> Iterable[tuple[bytes, bytes]]:
    while len(header := file.read(_FRAME.size)) == _FRAME.size:
        kind, size = _FRAME.unpack(header)
        if len(content := file.read(size)) < size:
            return
        yield kind, content


def _load(form: bytes, data: bytes) -> Any:
    from treelite import frontend

    if form == b"J":
        return frontend.from_xgboost_json(data, allow_unknown_field=True)
    if form == b"U":
        return frontend.from_xgboost_ubjson(data, allow_unknown_field=True)
    if form == b"L":
        _check_text(data.decode(errors="replace"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model")
        file.write_bytes(data[len(_CONFIG_HEADER) + 8 :] if data.startswith(_CONFIG_HEADER) else data)
        return (frontend.load_lightgbm_model if form == b"L" else frontend.load_xgboost_model_legacy_binary)(file)


def _check_text(text: str) -> None:
    """Refuse a text of LightGBM that treelite would take although it is damaged, or read in another sense."""
    head, *blocks = text.split("\nTree=")
    if not head.startswith("tree") or not blocks:
        raise ValueError("not the text of a LightGBM model")
    if "\nend of trees" not in blocks[-1]:
        raise ValueError("its text ends before the last tree; it is truncated")
    for number, block in enumerate(blocks):
        pairs = dict(line.partition("=")[::2] for line in block.split("\n"))
        leaves = int(pairs.get("num_leaves", "0"))
        sizes = {"leaf_value": leaves} | ({} if leaves == 1 else dict.fromkeys(_INNER, leaves - 1))
        for name, size in sizes.items():
            if len(pairs.get(name, "").split()) != size:
                found = len(pairs.get(name, "").split())
                raise ValueError(f"tree {number}: {name} has {found} numbers, expected {size}")
        if leaves > 1:
            for side in ("left_child", "right_child"):
                for node, child in enumerate(map(int, pairs[side].split())):
                    if not (-leaves <= child < 0 or node < child < leaves - 1):
                        raise ValueError(f"tree {number}: a child is not a later node of the tree, nor a leaf")
            if any(int(kind) & _MISSING == _ZERO_IS_MISSING for kind in pairs["decision_type"].split()):
                raise ValueError(f"tree {number}: takes 0 for missing")


def _check(model: Any, num_features: int) -> None:
    """Refuse a model that is not the sum of sound trees of numeric splits."""
    header = {name: model.get_header_accessor().get_field(name) for name in ("num_target", "num_class", "base_scores")}
    outputs = int(header["num_target"][0]) * int(header["num_class"][0])
    link = model.get_header_accessor().get_field("postprocessor")
    if outputs != 1 or link != "identity" or model.get_header_accessor().get_field("average_tree_output")[0]:
        raise ValueError(f"a model of {outputs} outputs through {link!r}, expected a regression of one number")
    if model.num_feature != num_features:
        raise ValueError(f"a model of {model.num_feature} features, expected {num_features}")
    if not model.num_tree:
        raise ValueError("it has no trees")
    if not np.isfinite(header["base_scores"]).all():
        raise ValueError(f"its base score is {header['base_scores'][0]}")
    for number in range(model.num_tree):
        tree = model.get_tree_accessor(number)
        if tree.get_field("has_categorical_split")[0]:
            raise ValueError(f"tree {number}: has categorical splits")
        left, right, features, thresholds, values = (tree.get_field(name) for name in _TREE_FIELDS)
        inner, own = left != -1, np.arange(len(left))
        if not len(left) or (inner != (right != -1)).any():
            raise ValueError(f"tree {number}: a node has one child, or there are no nodes")
        for children in (left[inner], right[inner]):
            if (children <= own[inner]).any() or (children >= len(own)).any():
                raise ValueError(f"tree {number}: a child is not a later node of the tree")
        if ((features[inner] < 0) | (features[inner] >= num_features)).any():
            raise ValueError(f"tree {number}: looks at a feature above {num_features - 1}")
        if not (np.isfinite(thresholds[inner]).all() and np.isfinite(values[~inner]).all()):
            raise ValueError(f"tree {number}: has numbers that are not finite")


def _reason(error: BaseException) -> str:
    """What treelite says, without the place in its code."""
    lines = [re.sub(r"^\[[\d:]+\] \S+: (Check failed: )?", "", line).strip() for line in str(error).splitlines()]
    return f"treelite cannot read it ({' '.join(line for line in lines if line)[:160] or type(error).__name__})"


def _serve(num_features: int) -> None:
    """Answer each model on the standard input, until one is refused."""
    if os.name == "posix":
        import resource

        for kind, limit in (("RLIMIT_AS", _BYTES), ("RLIMIT_CPU", _SECONDS), ("RLIMIT_CORE", 0)):
            resource.setrlimit(getattr(resource, kind), (limit, limit))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what treelite prints is no answer
    from treelite import TreeliteError

    for form, data in _read_frames(sys.stdin.buffer):
        try:
            model = _load(form, data)
            _check(model, num_features)
            answer = _frame(b"+", model.serialize_bytes())
        except (TreeliteError, MemoryError) as error:
            answer = _frame(b"-", _reason(error).encode())
        except ValueError as error:
            answer = _frame(b"-", str(error).encode())
        answers.write(answer)
        answers.flush()
        if answer[:1] == b"-":
            return


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
