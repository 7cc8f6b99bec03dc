"""Searches by a predictor: a network learns the values from the encodings, and the candidates that it predicts the
highest values for are asked for next."""

from typing import ClassVar

import numpy as np

from cate_hf.search._rounds import Rounds
from cate_hf.surrogates.network import Network, Training


class PredictorSearch(Rounds):
    """Rounds of the `proposed` best of all candidates by a network that is trained on all that was told.

    A subclass gives its network's training as settings.
    """

    needs_encodings = True
    activation: ClassVar[str] = "relu"

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        seed = int(self.rng.integers(2**31))
        network = Network.fit(self.encodings[rows], values, training_of(self.settings, self.activation), seed)
        return best_of(network.predict(self.encodings), self._is_free(), self.settings["proposed"])


def training_of(settings: dict, activation: str) -> Training:
    """The part of an algorithm's settings that is its network's."""
    names = ("units", "epochs", "batch", "learning_rate", "weight_decay")
    return Training(**{name: settings[name] for name in names}, activation=activation)


def best_of(scores: np.ndarray, free: np.ndarray, count: int) -> list[int]:
    """The `count` free rows with the highest scores (N,), best first, ties by row."""
    rows = np.flatnonzero(free)
    scores = scores[rows]
    count = min(count, len(rows))
    if count < len(rows):
        near = np.flatnonzero(scores >= np.partition(scores, len(rows) - count)[len(rows) - count])
        rows, scores = rows[near], scores[near]
    return rows[np.argsort(-scores, kind="stable")[:count]].tolist()
