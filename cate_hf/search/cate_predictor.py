"""Search by an accuracy predictor: fine-tuned encoders, a Gaussian process and trees, by Thompson sampling."""

from typing import Any

import numpy as np

from cate_hf.predictor.members import MemberSettings, make_members, predict_members, train_members
from cate_hf.predictor.process import Process
from cate_hf.predictor.targets import Target
from cate_hf.predictor.trees import Trees
from cate_hf.search.rounds import Rounds
from cate_hf.search.steps import Stepping
from cate_hf.statistics.structure import structure

_GROUPS = 4  # of trees: each group is one function that a sample may go by
_GROUP_TREES = 50
_EPOCHS = 40


class CatePredictor(Rounds, Stepping):
    """20 random candidates, then rounds of 10 by samples of an ensemble of predictors, over all candidates.

    What predicts are a Gaussian process and extremely randomised trees on structural statistics and the encodings side
    by side, and, where asked for, encoders that are fine-tuned on what was told (`cate_hf.predictor`). The process sees
    all candidates; the trees the `screened` × 10 that it likes best, as many at random, and the neighbours of the best
    so far; the encoders the `screened` best of these. Each proposal is the best by a random convex combination of the
    functions: Thompson sampling (Thompson 1933) with the ensemble as the posterior.

    Everything is fitted afresh each round, from what was told and the round's seed: nothing else is state.

    Settings:
        initial: 20; proposed: 10 a round.
        predictors: "fixed", the process and the trees, on encodings as they are; "ensemble", fine-tuned encoders too,
            which takes seconds a round; or "trees".
        members: encoders, 2; screened: candidates that they see, 500.
        parents: the best so far whose neighbours are looked at, 10; perturb, nearest: of steps.
    """

    name = "cate-predictor"
    needs_encodings = True
    defaults = {
        "initial": 20,
        "proposed": 10,
        "predictors": "fixed",
        "members": 2,
        "screened": 500,
        "parents": 10,
        **Stepping.defaults,
    }
    choices = {"perturb": ("space", "encoding"), "predictors": ("ensemble", "fixed", "trees")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._encoder = None
        self._features: np.ndarray | None = None
        if self.settings["predictors"] == "ensemble":
            from cate_hf.hub.checkpoints import checkpoint_names, load_encoder

            if self.space.name not in checkpoint_names():
                raise ValueError(
                    f"{self.name}: no checkpoint is bundled for {self.space.name}, only for "
                    f"{', '.join(checkpoint_names())}; set predictors to fixed or trees"
                )
            self._encoder = load_encoder(self.space.name)

    def _seen(self, rows: Any) -> np.ndarray:
        """(n, F) float32 features of candidates: structural statistics, and the encodings."""
        if self._features is None or len(self._features) < len(self.candidates):
            bare = self.candidates.replace_columns({})
            self._features = np.column_stack([structure(self.space, bare), self.encodings]).astype(np.float32)
        return self._features[rows]

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        inside = 0 <= values.min() and values.max() < 1
        target = Target.of("value", values, "log-error" if inside else "identity")
        wanted = target.forward(values)[:, None]
        seed = int(self.rng.integers(2**31))
        features = self._seen(rows)
        pool, functions = self._screen(features, wanted, rows, values, seed)
        if self.settings["predictors"] == "ensemble":
            order = np.argsort(-functions.mean(0), kind="stable")[: self.settings["screened"]]
            pool, functions = pool[order], functions[:, order]
            functions = np.concatenate([functions, self._members(rows, wanted, pool, functions, seed)])
        return self._sample(pool, functions)

    def _screen(
        self, features: np.ndarray, wanted: np.ndarray, rows: np.ndarray, values: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Unseen candidates (M,), and functions (P, M) that predict them."""
        free = self._is_free()
        unseen = np.flatnonzero(free)
        count = min(10 * self.settings["screened"], len(unseen))
        best = rows[np.argsort(-values, kind="stable")[: self.settings["parents"]]].tolist()
        near = [self._steps_from(row) for row in best]
        process = None
        if self.settings["predictors"] != "trees":
            process = Process.fit(features, wanted)
            score = process.predict(self._seen(unseen))[:, 0]
            liked = unseen[np.argsort(-score, kind="stable")[:count]]
        else:
            liked = self.rng.choice(unseen, min(2 * count, len(unseen)), replace=False)
        drawn = self.rng.choice(unseen, count, replace=False)
        pool = np.unique(np.concatenate([liked, drawn, *near])).astype(np.intp)
        seen = self._seen(pool)
        forests = [Trees.fit(features, wanted, seed + group, _GROUP_TREES) for group in range(_GROUPS)]
        functions = [forest.predict(seen)[0][:, 0] for forest in forests]
        if process is not None:
            functions.append(process.predict(seen)[:, 0])
        return pool, np.stack(functions)

    def _members(
        self, rows: np.ndarray, wanted: np.ndarray, pool: np.ndarray, functions: np.ndarray, seed: int
    ) -> np.ndarray:
        """(K, M) predictions of fine-tuned encoders, on the scale of the other functions (P, M)."""
        encoder, count = self._encoder, self.settings["members"]
        settings = MemberSettings(members=count, epochs=_EPOCHS).for_labels(len(rows))
        models = make_members(encoder.model, count, 1, seed)
        told = self.candidates[rows].replace_columns({})
        absent = np.zeros((count, len(rows)), dtype=bool)
        train_members(models, encoder.tokenizer(told, return_tensors="pt"), wanted, absent, settings, seed)
        scores = predict_members(models, encoder.tokenizer, self.candidates[pool].replace_columns({}))[..., 0]
        mean = functions.mean(0)
        spread = np.maximum(scores.std(1, keepdims=True), 1e-6)
        return mean.mean() + (scores - scores.mean(1, keepdims=True)) / spread * mean.std()

    def _sample(self, pool: np.ndarray, functions: np.ndarray) -> list[int]:
        """For each proposal the best by a random convex combination of the functions (P, M), each row once."""
        chosen: list[int] = []
        left = np.ones(len(pool), dtype=bool)
        for _ in range(min(self.settings["proposed"], len(pool))):
            score = self.rng.dirichlet(np.ones(len(functions))) @ functions
            score[~left] = -np.inf
            best = int(np.argmax(score))
            left[best] = False
            chosen.append(int(pool[best]))
        return chosen
