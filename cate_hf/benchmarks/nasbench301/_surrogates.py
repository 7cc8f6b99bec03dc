"""The oracles of NAS-Bench-301 that predict any architecture when it is asked for."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.benchmarks.nasbench301 import _ensembles as ensembles
from cate_hf.benchmarks.nasbench301._base import LAST_EPOCH, NasBench301, refuse_options
from cate_hf.benchmarks.nasbench301.onnx_surrogate import FIELDS, OnnxSurrogate
from cate_hf.spaces.darts.pairs import Cells

_SEED_LIMIT = 2**31


class _Surrogate(NasBench301):
    """Predictions that are made when asked for."""

    tabular = False

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        raise TypeError(f"{self!r} predicts any architecture; it has no number of them")

    def rows(self, architectures: Any, reduction: Any = None) -> np.ndarray:
        raise ValueError(f"{self!r} predicts any architecture; it has no rows")

    def best(self, field: str = "validation_accuracy") -> tuple[str, float]:
        raise ValueError(f"{self!r} predicts any architecture; which is the best is not known")


class Onnx(_Surrogate):
    """The ONNX surrogate, any epoch."""

    def __init__(
        self,
        path: str | os.PathLike,
        accuracy_model: str | None = None,
        noise_seed: int | None = None,
        trust_pickle: bool = False,
    ):
        refuse_options(path, accuracy_model, noise_seed)
        self._model = OnnxSurrogate(Path(path))
        what = ("validation accuracy", "seconds of training")
        source = "as YAHPO Gym's surrogate of the NAS-Bench-301 data predicts them"
        super().__init__(path, {name: f"{text}, {source}" for name, text in zip(FIELDS, what, strict=True)})

    def _predict(self, cells: Cells, fields: list[str], epoch: int, progress: bool) -> dict[str, np.ndarray]:
        return dict(zip(self.oracles, self._model.predict(cells, epoch, progress).T, strict=True))

    def _check_epoch(self, epoch: int) -> None:
        if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or not 1 <= epoch <= LAST_EPOCH:
            raise ValueError(f"epoch must be 1 to {LAST_EPOCH}, not {epoch!r}")

    def __repr__(self) -> str:
        return f"<benchmark nasbench301: ONNX surrogate ({self.path.name}), 1 to 98 epochs; {', '.join(self.fields)}>"


class Ensembles(_Surrogate):
    """Official ensembles: one for accuracies, one for runtimes, or both."""

    def __init__(
        self,
        path: str | os.PathLike,
        accuracy_model: str | None = None,
        noise_seed: int | None = None,
        trust_pickle: bool = False,
    ):
        if noise_seed is not None and (
            isinstance(noise_seed, bool)
            or not isinstance(noise_seed, int | np.integer)
            or not 0 <= noise_seed < _SEED_LIMIT
        ):
            raise ValueError(f"noise_seed must be None or 0 to {_SEED_LIMIT - 1}, not {noise_seed!r}")
        found = ensembles.find_members(Path(path))
        accurate = [kind for kind in ensembles.ACCURACY_KINDS if kind in found]
        if accuracy_model is not None and accuracy_model not in accurate:
            raise ValueError(f"{path}: no ensemble {accuracy_model!r}; it has {', '.join(found)}")
        kinds = {"validation_accuracy": accuracy_model or next(iter(accurate), None)}
        kinds["runtime_seconds"] = next((kind for kind in found if kind not in ensembles.ACCURACY_KINDS), None)
        self.ensembles = {
            field: ensembles.Ensemble(kind, ensembles.common_folder(found[kind]), found[kind], trust_pickle)
            for field, kind in kinds.items()
            if kind is not None
        }
        self.noise_seed = noise_seed
        spread = "" if noise_seed is None else f", with noise of their spread (seed {noise_seed})"
        words = {"validation_accuracy": "validation accuracy", "runtime_seconds": "seconds of training"}
        super().__init__(path, {field: f"{words[field]}: mean of {e!r}{spread}" for field, e in self.ensembles.items()})

    def _predict(self, cells: Cells, fields: list[str], epoch: int, progress: bool) -> dict[str, np.ndarray]:
        result = {}
        for field in fields:
            values, spread = self.ensembles[field].predict(cells, progress)
            if self.noise_seed is not None:
                values = values + spread * ensembles.noise(cells, 2 * self.noise_seed + (field == FIELDS[1]))
            result[field] = values / 100 if field == "validation_accuracy" else values
        return result

    def __repr__(self) -> str:
        parts = "; ".join(f"{field} by {ensemble!r}" for field, ensemble in self.ensembles.items())
        noisy = "" if self.noise_seed is None else f", noise seed {self.noise_seed}"
        return f"<benchmark nasbench301: official ensembles, {parts}{noisy}>"
