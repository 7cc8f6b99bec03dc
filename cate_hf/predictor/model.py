"""A fitted predictor: architectures in, accuracies with their uncertainty out."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.core._progress import progress_bar
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.predictor._combine import NORMAL, Combination
from cate_hf.predictor._features import Features
from cate_hf.predictor._labels import Labels, as_table, with_texts
from cate_hf.predictor._save import save_predictor
from cate_hf.predictor._simple import KINDS, predict_part, seen_by
from cate_hf.predictor._training import update_predictor
from cate_hf.predictor.members import predict_members
from cate_hf.predictor.targets import Target
from cate_hf.spaces.darts.pairs import CellPairTable
from cate_hf.surrogates.trees import Trees

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from cate_hf.graphs.architecture import Architecture
    from cate_hf.spaces import Space
    from cate_hf.spaces.darts.genotypes import CellPair
    from cate_hf.surrogates.multi_target import MultiTargetGaussianProcess

__all__ = ["Predictor"]

Architectures: TypeAlias = (
    "ArchitectureTable | CellPairTable | Sequence[Architecture | CellPair] | Architecture | CellPair"
)
_SCREENED = 20_000


class Predictor:
    """Predicts labels of architectures of one space; `fit_predictor` makes one, `load_predictor` reads one.

    Attributes:
        space: whose architectures it knows.
        targets: what it predicts, the first of which is what `rank` and `top_k` go by where no other is named.
        models: K fine-tuned `CateForSequenceClassification`; tokenizer: theirs, None where there are none.
        simple: name -> Gaussian process, forest or ridge regression (`cate_hf.predictor._simple.KINDS`); features: what
            they see.
        combinations: of each target, how members and simple parts become one.
        labels: what it was fitted to, None where that was not kept.
        facts: how it was made, as JSON can hold it.
    """

    def __init__(
        self,
        space: "Space",
        targets: Sequence[Target],
        models: "Sequence[nn.Module]",
        tokenizer: Any,
        features: Features,
        simple: Mapping[str, Any] | None = None,
        combinations: Sequence[Combination] = (),
        labels: Labels | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.space, self.targets, self.models, self.tokenizer = space, list(targets), list(models), tokenizer
        self.features, self.simple = features, dict(simple or {})
        self.combinations, self.labels, self.facts = list(combinations), labels, dict(facts or {})

    @property
    def process(self) -> "MultiTargetGaussianProcess | None":
        """The Gaussian process on statistics and encoding, None where there is none."""
        return self.simple.get("process")

    @property
    def trees(self) -> Trees | None:
        """The forest on statistics and encoding, None where there is none."""
        return self.simple.get("trees")

    @property
    def part_names(self) -> list[str]:
        """Names of the parts that are combined, in their order."""
        return [*(["members"] if self.models else []), *self.simple]

    @property
    def target_names(self) -> list[str]:
        """Names of the labels that it predicts."""
        return [target.name for target in self.targets]

    def predict(
        self,
        architectures: Architectures,
        target: str | None = None,
        features: np.ndarray | None = None,
        progress: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (N,) float64 of each architecture's label, in the units of the labels.

        The mean is that of the transformed label, mapped back. The deviation is half of what holds 68 % of labels, of
        training noise as of the predictor's own error, by labels that were held out of the fit.

        Args:
            architectures: a table (fastest), a sequence of `Architecture`, or one alone, which gives one row.
            target: which label; the first when None.
            features: (N, F) that `features` gave for the same architectures, where they are at hand.
            progress: draw a progress bar.

        Raises:
            ValueError: an architecture of another space, the row is named; or no such target.
        """
        which = self._target(target)
        mean, deviation = self.standardised(architectures, features, progress)[:, which]
        wanted = self.targets[which]
        half = deviation * self.combinations[which].factor(NORMAL)
        low, high = wanted.inverse(mean - half), wanted.inverse(mean + half)
        return wanted.inverse(mean), (high - low) / 2

    def interval(
        self, architectures: Architectures, level: float = 0.9, target: str | None = None, **options: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends (N,) of what holds an architecture's label with probability `level`; see `predict`."""
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, not {level}")
        which = self._target(target)
        mean, deviation = self.standardised(architectures, **options)[:, which]
        half = deviation * self.combinations[which].factor(level)
        return self.targets[which].inverse(mean - half), self.targets[which].inverse(mean + half)

    def rank(self, architectures: Architectures, target: str | None = None, **options: Any) -> np.ndarray:
        """(N,) positions of the architectures, the one with the best predicted label first, ties in their order."""
        which = self._target(target)
        mean = self.standardised(architectures, **options)[0, which]
        return np.argsort(-mean if self.targets[which].higher_is_better else mean, kind="stable")

    def top_k(
        self,
        k: int,
        table: ArchitectureTable | None = None,
        target: str | None = None,
        features: np.ndarray | None = None,
        screened: int | None = _SCREENED,
        progress: bool = False,
    ) -> ArchitectureTable:
        """The k architectures with the best predictions, the best first, with columns `predicted` and `deviation`.

        Args:
            k: how many.
            table: to choose from; the space's pool when None.
            target: which label; the first when None.
            features: (N, F) that `features` gave for it, where they are at hand.
            screened: how many, the best by the simple parts, the members look at; None: all.
            progress: draw a progress bar.

        Raises:
            ValueError: k is not from 1 to the number of architectures.
        """
        among = self.table(self.space.pool(progress=progress) if table is None else table)
        if not 1 <= k <= len(among):
            raise ValueError(f"top_k: k must be from 1 to {len(among)}, not {k}")
        which = self._target(target)
        sign = 1.0 if self.targets[which].higher_is_better else -1.0
        if screened is not None and self.simple and self.models and max(screened, k) < len(among):
            if features is None:
                features = self.features(among, progress)
            score = sign * self.by_simple(features)[:, which]
            rows = np.sort(np.argsort(-score, kind="stable")[: max(screened, k)])
            among, features = among[rows], features[rows]
        mean, deviation = self.predict(among, self.targets[which].name, features, progress)
        best = np.argsort(-sign * mean, kind="stable")[:k]
        return among[best].with_columns(predicted=mean[best], deviation=deviation[best])

    def by_simple(self, features: np.ndarray) -> np.ndarray:
        """(N, T) what the simple parts alone make of features (N, F), up to scale and shift of each target: fast, and
        enough to say which architectures are worth the members' look.
        """
        used = np.array([c.weights[bool(self.models) :] for c in self.combinations]).T  # (parts, T)
        used = np.where(used.any(axis=0), used, 1.0)
        score = np.zeros((len(features), len(self.targets)))
        for (name, model), weights in zip(self.simple.items(), used, strict=True):
            if weights.any():
                score += weights * predict_part(model, seen_by(name, self.features, features))[0]
        return score

    def by_members(self, architectures: Architectures, progress: bool = False) -> np.ndarray:
        """(N, T) float64 predictions of the members alone, in the units of the labels: what the checkpoint's model
        gives where it is loaded by `AutoModelForSequenceClassification`.
        """
        scores = self._scores(self.table(architectures), progress).mean(0, dtype=np.float64)  # (N, T)
        lines = zip(self.targets, self.facts["lines"], strict=True)
        return np.column_stack([t.inverse(slope * scores[:, i] + c) for i, (t, (slope, c)) in enumerate(lines)])

    def update(
        self, architectures: Architectures, values: "Mapping[str, Any] | Any", progress: bool = False
    ) -> "Predictor":
        """Learn further labels, going on from the weights that there are, and return this predictor.

        Raises:
            ValueError: the labels that it was fitted to were not kept, or as `fit_predictor`.
        """
        return update_predictor(self, architectures, values, progress)

    def report(self) -> dict[str, dict[str, Any]]:
        """Say which part carried the predictor.

        Returns:
            target -> {"carried_by": the part with the largest share, "labels": how many, "parts": name -> {"what": the
            part in words, "share": of the prediction, "kendall_tau": on labels that were held out of it, None of a
            predictor that does not know it}, "note": what is missing, such as an encoder, or None}; with auxiliary
            columns also "auxiliary": name -> {"share": in their weighted mean, negative where the label falls with it,
            "kendall_tau": with the labels}.
        """
        found = {}
        for target, combination in zip(self.targets, self.combinations, strict=True):
            known = (self.facts.get("parts") or {}).get(target.name, {})
            total = float(combination.weights.sum()) or 1.0
            parts = {}
            for name, weight in zip(self.part_names, combination.weights, strict=True):
                words = KINDS[name].words if name in KINDS else f"{len(self.models)} fine-tuned encoders"
                measured = known.get(name, {})
                share = measured.get("share", round(float(weight) / total, 4))
                parts[name] = {"what": words, "share": share, "kendall_tau": measured.get("kendall_tau")}
            found[target.name] = {
                "carried_by": max(parts, key=lambda name: parts[name]["share"]),
                "labels": self.facts.get("labels"),
                "parts": parts,
                "note": self.facts.get("missing"),
            }
            if columns := (self.facts.get("auxiliary") or {}).get(target.name):
                found[target.name]["auxiliary"] = columns
        return found

    def save(self, directory: "str | os.PathLike", overwrite: bool = False, keep_labels: bool = True) -> "Path":
        """Write a checkpoint's folder (see `cate_hf.predictor._save`)."""
        return save_predictor(self, directory, overwrite, keep_labels)

    def _target(self, name: str | None) -> int:
        if name is None:
            return 0
        if name not in self.target_names:
            raise unknown("target", name, self.target_names)
        return self.target_names.index(name)

    def table(self, architectures: Architectures) -> Any:
        """Architectures as a table of the space, pruned. Of a predictor of pairs of cells, a single cell is both.

        Raises:
            ValueError: an architecture of another space (the row is named), or pairs of cells where the predictor is of
                single cells.
        """
        table = (as_table if self.features.auxiliary is None else with_texts)(self.space, architectures)
        if self.features.cells == 1 and isinstance(table, CellPairTable):
            raise ValueError("pairs of cells given; this predictor is of single cells")
        if self.features.cells == 2 and isinstance(table, ArchitectureTable):
            return CellPairTable(table, table, table.columns)
        return table

    def _scores(self, table: ArchitectureTable, progress: bool) -> np.ndarray:
        with progress_bar("predicting", len(table), "architectures", progress) as advance:
            return predict_members(self.models, self.tokenizer, table, advance=advance)

    def parts(
        self, table: ArchitectureTable, features: np.ndarray | None = None, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """(P, N, T) standardised predictions of the parts in the order of `part_names` (of the members their mean)
        and the deviation among the trees (N, T), 0 without any.
        """
        found, deviation = [], np.zeros((len(table), len(self.targets)))
        if self.models:
            found.append(self._scores(table, progress).mean(0, dtype=np.float64))
        if self.simple:
            values = self.features(table, progress) if features is None else features
        for name, model in self.simple.items():
            mean, spread = predict_part(model, seen_by(name, self.features, values))
            found.append(mean)
            deviation = spread if isinstance(model, Trees) else deviation
        return np.stack(found), deviation

    def standardised(
        self, architectures: Architectures, features: np.ndarray | None = None, progress: bool = False
    ) -> np.ndarray:
        """(2, T, N) standardised means and deviations, the latter before their factor (`Combination.factor`)."""
        table = self.table(architectures)
        if features is not None and features.shape != (len(table), len(self.features.names)):
            wanted = (len(table), len(self.features.names))
            raise ValueError(f"features must be {wanted}, as `features` gives them, not {features.shape}")
        return self.combined(*self.parts(table, features, progress))

    def combined(self, parts: np.ndarray, deviations: np.ndarray) -> np.ndarray:
        """What `parts` gave as (2, T, N) standardised means and deviations, see `standardised`."""
        results = [c(parts[..., i], deviations[:, i]) for i, c in enumerate(self.combinations)]
        return np.array(results).transpose(1, 0, 2)

    def __repr__(self) -> str:
        kinds = [f"{len(self.models)} members"] if self.models else []
        kinds += [KINDS[name].words for name in self.simple]
        return f"<predictor of {', '.join(self.target_names)} of {self.space.name}: {', '.join(kinds)}>"
