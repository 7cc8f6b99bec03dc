"""The official ensembles of NAS-Bench-301 (Siems et al. 2020; automl/nasbench301), from the folders of their release.

A release is a folder such as `nb_models_1.0` with the ensembles `xgb_v1.0`, `gnn_gin_v1.0` and `lgb_runtime_v1.0`; an
ensemble has a folder a member, and in each `surrogate_model.model`, `model_config.json` and `data_config.json`. The
prediction is the mean over the members; the official interface adds normal noise of their standard deviation to it.

The boosters are pickles: their trees are taken out without running anything (`_pickles`).
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cate_hf.benchmarks.nasbench301._gin import Gin
from cate_hf.benchmarks.nasbench301._lightgbm import read_lightgbm
from cate_hf.benchmarks.nasbench301._pickles import TRUST_HINT, read_booster, unpickle_trusted
from cate_hf.benchmarks.nasbench301._trees import Trees, Unsupported, predict
from cate_hf.benchmarks.nasbench301._xgboost import read_xgboost
from cate_hf.benchmarks.nasbench301.features import VECTOR_SIZE, vectors
from cate_hf.core.progress import progress_bar
from cate_hf.spaces.darts.pairs import Cells

MODEL_FILE = "surrogate_model.model"
CONFIG_FILE = "model_config.json"
KINDS = {
    "xgb": "XGBoost",
    "lgb": "LightGBM",
    "gnn_gin": "graph isomorphism network",
    "xgb_time": "XGBoost",
    "lgb_time": "LightGBM",
}
RUNTIME_SUFFIX = "_time"
ACCURACY_KINDS = tuple(kind for kind in KINDS if not kind.endswith(RUNTIME_SUFFIX))
_BATCH = 16_384
_MOST_MEMBERS = 1000
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Ensemble:
    """The members of one ensemble.

    Attributes:
        kind: as the official code names it, one of `KINDS`.
        folder: that all members are in.
    """

    def __init__(self, kind: str, folder: Path, members: "list[Member]", trust_pickle: bool):
        self.kind, self.folder = kind, folder
        self._members = [_load(member, trust_pickle) for member in members]

    def __len__(self) -> int:
        return len(self._members)

    def predict(self, cells: Cells, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation over the members, (N,) float64: percent, or seconds."""
        result = np.empty((len(self), cells.number))
        total = len(self) * cells.number
        with progress_bar(f"asking {len(self)} {self.kind} models", total, "predictions", progress) as advance:
            for start in range(0, cells.number, _BATCH):
                part = cells.take(slice(start, start + _BATCH))
                rows = None if self.kind == "gnn_gin" else vectors(part)
                for number, member in enumerate(self._members):
                    values = member.predict(part) if isinstance(member, Gin) else _boosted(member, rows)
                    result[number, start : start + _BATCH] = values
                    advance(part.number)
        return result.mean(axis=0), result.std(axis=0)

    def __repr__(self) -> str:
        return f"{len(self)} {KINDS[self.kind]} models ({self.folder.name})"


def _boosted(booster: Any, rows: np.ndarray) -> np.ndarray:
    if isinstance(booster, Trees):
        return predict(booster, rows)
    if type(booster).__module__ == "xgboost.core":
        import xgboost

        return booster.predict(xgboost.DMatrix(rows, feature_names=booster.feature_names))
    return booster.predict(rows)


class Member(NamedTuple):
    """One member on disk: its file, what kind of model its configuration says it is, and that configuration."""

    path: Path
    kind: str
    config: Mapping[str, Any]


def find_members(folder: Path) -> dict[str, list[Member]]:
    """The members below a folder, by kind.

    Raises:
        ValueError: there are none, one has no configuration or is of an unknown kind, or a kind has two ensembles.
    """
    files = sorted(folder.rglob(MODEL_FILE))
    if not files:
        inside = [name for name in ("labels.parquet", "surrogate.onnx") if (folder / name).is_file()]
        hint = f"; give one of its files, {' or '.join(inside)}" if inside else ""
        raise ValueError(f"{folder}: no ensemble of NAS-Bench-301 in it, expected files {MODEL_FILE}{hint}")
    if len(files) > _MOST_MEMBERS:
        raise ValueError(f"{folder}: {len(files)} files {MODEL_FILE}; give the folder of one release or ensemble")
    kinds: dict[str, list[Member]] = {}
    for path in files:
        config = _read_config(path)
        kind = config.get("model")
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(f"{path}: a model {str(kind)[:40]!r}; known are {', '.join(KINDS)}")
        if config.get("param:bananas_enc"):
            raise ValueError(f"{path}: trained on path encodings (bananas_enc), which cannot be asked for a genotype")
        kinds.setdefault(kind, []).append(Member(path, kind, config))
    for kind, members in kinds.items():
        below = {member.path.relative_to(folder).parts[0] for member in members}
        if len(below) > 1 and len(members) > len(below):
            names = " and ".join(sorted(below)[:3])
            raise ValueError(f"{folder}: {kind} models in {names}; give the folder of one release, or of one ensemble")
    return kinds


def _read_config(path: Path) -> Mapping[str, Any]:
    file = path.with_name(CONFIG_FILE)
    try:
        config = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no {CONFIG_FILE} beside it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not valid JSON ({str(error).splitlines()[0][:80]})") from None
    if not isinstance(config, Mapping):
        raise ValueError(f"{file}: expected an object, got {type(config).__name__}")
    return config


def _load(member: Member, trust_pickle: bool) -> "Trees | Gin | Any":
    if member.kind == "gnn_gin":
        return Gin(member.path, member.config)
    if trust_pickle:
        return unpickle_trusted(member.path)
    booster = read_booster(member.path)
    package = "xgboost" if member.kind.startswith("xgb") else "lightgbm"
    if booster.package != package:
        raise ValueError(f"{member.path}: a booster of {booster.package}; its {CONFIG_FILE} says {member.kind}")
    try:
        if package == "xgboost":
            return read_xgboost(booster.model, VECTOR_SIZE)
        return read_lightgbm(booster.model, VECTOR_SIZE, booster.best_iteration)
    except Unsupported as error:
        raise ValueError(f"{member.path}: {error}; {TRUST_HINT}") from None
    except ValueError as error:
        raise ValueError(f"{member.path}: {error}") from None


def common_folder(members: list[Member]) -> Path:
    """The folder that holds the members' folders."""
    folders = [member.path.parent for member in members]
    return folders[0].parent if len(folders) == 1 else Path(os.path.commonpath(folders))


def noise(cells: Cells, seed: int) -> np.ndarray:
    """(N,) standard normal numbers that depend on an architecture, in any drawing, and the seed alone."""
    normal, reduction = (keys.astype(np.uint64) for keys in cells.keys())
    state = _mixed(_mixed(normal + (np.uint64(seed % 2**32) << np.uint64(32))) ^ reduction)
    uniform = [((_mixed(state + np.uint64(i)) >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53 for i in (1, 2)]
    return np.sqrt(-2 * np.log(uniform[0])) * np.cos(2 * np.pi * uniform[1])


def _mixed(x: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))
