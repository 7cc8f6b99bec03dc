"""The official ensembles of NAS-Bench-301 (Siems et al. 2020; automl/nasbench301), from the folders of their release.

A release is a folder such as `nb_models_1.0` with the ensembles `xgb_v1.0` and `lgb_runtime_v1.0`; an ensemble has a
folder a member, and in each `surrogate_model.model`, `model_config.json` and `data_config.json`. The prediction is the
mean over the members; the official interface adds normal noise of their standard deviation to it.

The boosters are pickles: the model is taken out without running anything (`_pickles`) and read by treelite
(`_treelite`). The ensemble of graph networks, `gnn_gin_v1.0`, is not read.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cate_hf.benchmarks.nasbench301._base import WORDS, Surrogate
from cate_hf.benchmarks.nasbench301._features import VECTOR_SIZE, vectors
from cate_hf.benchmarks.nasbench301._pickles import TRUST_HINT, read_booster, unpickle_trusted
from cate_hf.benchmarks.nasbench301._treelite import Booster, read_boosters
from cate_hf.core._numbers import splitmix64
from cate_hf.core._progress import progress_bar
from cate_hf.spaces.darts.pairs import Cells

MODEL_FILE = "surrogate_model.model"
CONFIG_FILE = "model_config.json"
KINDS = {"xgb": "XGBoost", "lgb": "LightGBM", "xgb_time": "XGBoost", "lgb_time": "LightGBM"}
_GRAPH_NETWORKS = "gnn_gin"
RUNTIME_SUFFIX = "_time"
ACCURACY_KINDS = tuple(kind for kind in KINDS if not kind.endswith(RUNTIME_SUFFIX))
_BATCH = 16_384
_MOST_MEMBERS = 1000
_SEED_LIMIT = 2**31


class Ensemble:
    """The members of one ensemble.

    Attributes:
        kind: as the official code names it, one of `KINDS`.
        folder: that all members are in.
    """

    def __init__(self, kind: str, members: "list[Member]", trust_pickle: bool):
        self.kind, self.folder = kind, common_folder(members)
        self._members = [unpickle_trusted(m.path) for m in members] if trust_pickle else _read(kind, members)

    def __len__(self) -> int:
        return len(self._members)

    def predict(self, cells: Cells, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation over the members, (N,) float64: percent, or seconds."""
        result = np.empty((len(self), cells.number))
        total = len(self) * cells.number
        with progress_bar(f"asking {len(self)} {self.kind} models", total, "predictions", progress) as advance:
            for start in range(0, cells.number, _BATCH):
                part = cells.take(slice(start, start + _BATCH))
                rows = vectors(part)
                for number, booster in enumerate(self._members):
                    result[number, start : start + _BATCH] = _predict(booster, rows)
                    advance(part.number)
        return result.mean(axis=0), result.std(axis=0)

    def __repr__(self) -> str:
        return f"{len(self)} {KINDS[self.kind]} models ({self.folder.name})"


def _predict(booster: Any, rows: np.ndarray) -> np.ndarray:
    """Of treelite's booster, or of one that its own package unpickled."""
    if type(booster).__module__ == "xgboost.core":
        import xgboost

        return booster.predict(xgboost.DMatrix(rows, feature_names=booster.feature_names))
    return booster.predict(rows)


class Member(NamedTuple):
    """One member on disk: its file, and what kind of model its configuration says it is."""

    path: Path
    kind: str


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
        if kind == _GRAPH_NETWORKS:
            continue
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(f"{path}: a model {str(kind)[:40]!r}; known are {', '.join(KINDS)}")
        if config.get("param:bananas_enc"):
            raise ValueError(f"{path}: trained on path encodings (bananas_enc), which cannot be asked for a genotype")
        kinds.setdefault(kind, []).append(Member(path, kind))
    if not kinds:
        raise ValueError(f"{folder}: an ensemble of graph networks ({_GRAPH_NETWORKS}), which is not read here")
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


def _read(kind: str, members: list[Member]) -> list[Booster]:
    package = "xgboost" if kind.startswith("xgb") else "lightgbm"
    models = []
    for path, _ in members:
        booster = read_booster(path)
        if booster.package != package:
            raise ValueError(f"{path}: a booster of {booster.package}; its {CONFIG_FILE} says {kind}")
        models.append((path, booster.model, booster.best_iteration if package == "lightgbm" else 0))
    try:
        return read_boosters(models, package, VECTOR_SIZE)
    except ValueError as error:
        raise ValueError(f"{error}; {TRUST_HINT}") from None


def common_folder(members: list[Member]) -> Path:
    """The folder that holds the members' folders."""
    folders = [member.path.parent for member in members]
    return folders[0].parent if len(folders) == 1 else Path(os.path.commonpath(folders))


def noise(cells: Cells, seed: int) -> np.ndarray:
    """(N,) standard normal numbers that depend on an architecture, in any drawing, and the seed alone."""
    normal, reduction = (keys.astype(np.uint64) for keys in cells.keys())
    state = splitmix64(splitmix64(normal + (np.uint64(seed % 2**32) << np.uint64(32))) ^ reduction)
    uniform = [((splitmix64(state + np.uint64(i)) >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53 for i in (1, 2)]
    return np.sqrt(-2 * np.log(uniform[0])) * np.cos(2 * np.pi * uniform[1])


class Ensembles(Surrogate):
    """Official ensembles: one for accuracies, one for runtimes, or both.

    Args:
        path, accuracy_model, noise_seed, trust_pickle: see `cate_hf.benchmarks.nasbench301.benchmark`.
    """

    def __init__(self, path: Path, accuracy_model: str | None, noise_seed: int | None, trust_pickle: bool):
        if noise_seed is not None and (
            isinstance(noise_seed, bool)
            or not isinstance(noise_seed, int | np.integer)
            or not 0 <= noise_seed < _SEED_LIMIT
        ):
            raise ValueError(f"noise_seed must be None or 0 to {_SEED_LIMIT - 1}, not {noise_seed!r}")
        found = find_members(path)
        accurate = [kind for kind in ACCURACY_KINDS if kind in found]
        if accuracy_model is not None and accuracy_model not in accurate:
            raise ValueError(f"{path}: no ensemble {accuracy_model!r}; it has {', '.join(found)}")
        kinds = {
            "validation_accuracy": accuracy_model or next(iter(accurate), None),
            "runtime_seconds": next((kind for kind in found if kind not in ACCURACY_KINDS), None),
        }
        self.ensembles = {
            field: Ensemble(kind, found[kind], trust_pickle) for field, kind in kinds.items() if kind is not None
        }
        self.noise_seed = noise_seed
        spread = "" if noise_seed is None else f", with noise of their spread (seed {noise_seed})"
        super().__init__(path, {field: f"{WORDS[field]}: mean of {e!r}{spread}" for field, e in self.ensembles.items()})

    def _predict(self, cells: Cells, fields: list[str], epoch: int, progress: bool) -> dict[str, np.ndarray]:
        result = {}
        for field in fields:
            values, spread = self.ensembles[field].predict(cells, progress)
            if self.noise_seed is not None:
                values = values + spread * noise(cells, 2 * self.noise_seed + (field == "runtime_seconds"))
            result[field] = values / 100 if field == "validation_accuracy" else values
        return result

    def __repr__(self) -> str:
        parts = "; ".join(f"{field} by {ensemble!r}" for field, ensemble in self.ensembles.items())
        noisy = "" if self.noise_seed is None else f", noise seed {self.noise_seed}"
        return f"<benchmark nasbench301: official ensembles, {parts}{noisy}>"
