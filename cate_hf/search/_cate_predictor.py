"""Search by accuracy predictors: Gaussian processes, trees and fine-tuned encoders, by random confidence bounds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from cate_hf.predictor.members import MemberSettings, make_members, predict_members, train_members
from cate_hf.predictor.targets import Target
from cate_hf.search._rounds import Rounds, best_of
from cate_hf.search._steps import Stepping
from cate_hf.statistics.structure import structure
from cate_hf.surrogates.gp import GaussianProcess, screening_means
from cate_hf.surrogates.trees import Trees

if TYPE_CHECKING:
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces import Space

_TREES = 100
_EPOCHS = 40
_MOST = 5.0  # standard deviations of a feature

Functions = list[tuple[np.ndarray, np.ndarray]]  # mean and deviation (M,) of each predictor


class CatePredictor(Rounds, Stepping):
    """20 random candidates, then rounds of 5 by predictors of what was told, over all candidates.

    Two Gaussian processes on structural statistics and the encodings side by side: one of the normal scores of the
    values' ranks, which runs that diverged do not bend, and which tells the best apart; one of -log(1 - value). Each
    proposal is the candidate with the highest mean + β × deviation of one of them, by turns at random, with β drawn
    anew from an exponential distribution (a randomised upper confidence bound; for rounds of several proposals Hutter,
    Hoos and Leyton-Brown, "Parallel Algorithm Configuration", 2012): some proposals exploit, some explore.

    All candidates are predicted every `refresh` values; the `liked` best of each predictor, half as many at random and
    the neighbours of the best so far are what proposals are taken from until then.

    Settings:
        initial: 20; proposed: 5 a round.
        exploration: mean of β, 2.
        predictors: "fixed", the processes, on encodings as they are; "ensemble", encoders that are fine-tuned on what
            was told too, which takes seconds a round; "trees", extremely randomised trees in their place, whose
            deviation is that among trees.
        liked, refresh: 3000 candidates, every 40 values.
        members: encoders, 2; screened: candidates that they see, 500.
        leader: what is thought best in the end: "value", the highest value told; "mean", the highest mean of the first
            process, for values that are noisy, where the highest of them was lucky.
        parents: the best so far whose neighbours are looked at, 10; perturb, nearest: of steps.
    """

    name = "cate-predictor"
    needs_encodings = True
    defaults = {
        "initial": 20,
        "proposed": 5,
        "exploration": 2.0,
        "predictors": "fixed",
        "liked": 3000,
        "refresh": 40,
        "members": 2,
        "screened": 500,
        "leader": "value",
        "parents": 10,
        **Stepping.defaults,
    }
    choices = {
        "perturb": ("space", "encoding"),
        "predictors": ("ensemble", "fixed", "trees"),
        "leader": ("value", "mean"),
    }
    _state = (*Rounds._state, "_logs", "_refreshed")
    _arrays = ("_pool",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._encoder: Any = None
        self._features: np.ndarray | None = None
        self._logs: list[list[float]] | None = None  # hyper-parameters of the processes, to go on from
        self._refreshed = 0  # values told when all candidates were predicted
        self._pool: np.ndarray | None = None  # (M,) rows that were liked then, and others
        if self.settings["predictors"] == "ensemble":
            from cate_hf.encodings.cate import load_encoder
            from cate_hf.hub._layout import checkpoint_names

            if self.space.name not in checkpoint_names():
                raise ValueError(
                    f"{self.name}: no checkpoint is bundled for {self.space.name}, only for "
                    f"{', '.join(checkpoint_names())}; set predictors to fixed or trees"
                )
            self._encoder = load_encoder(self.space.name)

    def best_row(self) -> int:
        """As every search's; with leader "mean" the row with the highest mean of the process of ranks of those told."""
        rows, values = self._observed()
        if self.settings["leader"] == "value" or self._logs is None or len(rows) < self.settings["initial"]:
            return super().best_row()
        inputs = self._seen()[rows]
        process = GaussianProcess.fit(inputs, normal_scores(values), self._logs[0], optimize=False)
        return int(rows[np.argmax(process.mean(inputs))])

    def _seen(self) -> np.ndarray:
        """(N, F) float32 features of all candidates, standardised over them: structural statistics, and encodings."""
        if self._features is None:
            statistics = _structure(self.space, self.candidates)
            features = np.column_stack([statistics, self.encodings]).astype(np.float32, copy=False)
            spread = features.std(0)
            features -= features.mean(0)
            features /= np.where(spread > 1e-6, spread, 1)
            self._features = np.clip(features, -_MOST, _MOST, out=features)
        return self._features

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        seed = int(self.rng.integers(2**31))
        models = self._fit(rows, values, seed)
        pool = self._screen(models, rows, values)
        functions = [self._predict(model, pool) for model in models]
        if self._encoder is not None:
            score = sum(mean for mean, _ in functions)
            order = np.argsort(-score, kind="stable")[: self.settings["screened"]]
            pool, functions = pool[order], [(mean[order], deviation[order]) for mean, deviation in functions]
            functions.append(self._members(rows, normal_scores(values), pool, functions[0], seed))
        return self._sample(pool, functions)

    def _fit(self, rows: np.ndarray, values: np.ndarray, seed: int) -> list[GaussianProcess] | list[Trees]:
        inputs, scores = self._seen()[rows], normal_scores(values)
        if self.settings["predictors"] == "trees":
            return [Trees.fit(inputs, scores[:, None], seed, _TREES)]
        is_fraction = 0 <= values.min() and values.max() < 1
        target = Target.of("value", values, "log-error" if is_fraction else "identity")
        logs: Sequence[list[float] | None] = self._logs or [None, None]
        targets = (scores, target.forward(values))
        models = [GaussianProcess.fit(inputs, y, start) for y, start in zip(targets, logs, strict=True)]
        self._logs = [model.logs for model in models]
        return models

    def _predict(self, model: GaussianProcess | Trees, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation (n,) of what a model predicts for candidates, without the noise of a value."""
        inputs = self._seen()[rows]
        if isinstance(model, Trees):
            mean, deviation = model.predict(inputs)
            return mean[:, 0], deviation[:, 0]
        mean, deviation = model.predict(inputs)
        return mean, np.sqrt(np.maximum(deviation**2 - model.noise * model.target_scale**2, 0))

    def _screen(self, models: list[GaussianProcess] | list[Trees], rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Unseen candidates (M,) that proposals are taken from."""
        free = self._is_free()
        pool, stale = self._pool, len(rows) >= self._refreshed + self.settings["refresh"]
        if pool is None or stale or not free[pool].any():
            features = self._seen()
            if isinstance(models[0], Trees):
                scores = models[0].predict(features)[0].T
            else:
                scores = screening_means(models, features)
            liked = [best_of(score, free, self.settings["liked"]) for score in scores]
            drawn = self._draw_unseen(max(1, self.settings["liked"] // 2))
            pool = np.unique(np.concatenate([*liked, drawn])).astype(np.int64)
            self._pool, self._refreshed = pool, len(rows)
        best = rows[np.argsort(-values, kind="stable")[: self.settings["parents"]]].tolist()
        near = [self._steps_from(row) for row in best]
        return np.unique(np.concatenate([pool[free[pool]], *near])).astype(np.intp)

    def _members(
        self, rows: np.ndarray, scores: np.ndarray, pool: np.ndarray, process: tuple[np.ndarray, np.ndarray], seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean (M,) of fine-tuned encoders, on the scale of a process's, whose deviation stands for theirs: so few
        members agree too much.
        """
        encoder, count = self._encoder, self.settings["members"]
        settings = MemberSettings(members=count, epochs=_EPOCHS).for_labels(len(rows))
        models = make_members(encoder.model, count, 1, seed)
        told = self.candidates[rows].replace_columns({})
        absent = np.zeros((count, len(rows)), dtype=bool)
        train_members(models, encoder.tokenizer(told, return_tensors="pt"), scores[:, None], absent, settings, seed)
        found = predict_members(models, encoder.tokenizer, self.candidates[pool].replace_columns({}))[..., 0].mean(0)
        mean, deviation = process
        return mean.mean() + (found - found.mean()) / max(float(found.std()), 1e-6) * mean.std(), deviation

    def _sample(self, pool: np.ndarray, functions: Functions) -> list[int]:
        """For each proposal the row with the highest bound, of a function and with a β drawn for it; each row once."""
        chosen: list[int] = []
        left = np.ones(len(pool), dtype=bool)
        for _ in range(min(self.settings["proposed"], len(pool))):
            mean, deviation = functions[int(self.rng.integers(len(functions)))]
            bound = mean + self.rng.exponential(self.settings["exploration"]) * deviation
            bound[~left] = -np.inf
            best = int(np.argmax(bound))
            left[best] = False
            chosen.append(int(pool[best]))
        return chosen


def normal_scores(values: np.ndarray) -> np.ndarray:
    """(n,) quantiles of the normal distribution at the values' ranks, ties at their mean rank."""
    return ndtri((rankdata(values) - 0.5) / len(values))


_structures: "WeakKeyDictionary[ArchitectureTable, tuple[str, np.ndarray]]" = WeakKeyDictionary()


def _structure(space: "Space", candidates: "ArchitectureTable") -> np.ndarray:
    """(N, S) structural statistics, kept as long as the table is: trials of one comparison share their candidates."""
    name, found = _structures.get(candidates, ("", np.empty(0)))
    if name != space.name:
        found = structure(space, candidates.replace_columns({})).astype(np.float32)
        _structures[candidates] = space.name, found
    return found
