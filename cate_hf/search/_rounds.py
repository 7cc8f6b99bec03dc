"""Searches that go by rounds: random candidates first, then a list of proposals at a time."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from cate_hf.core._parallel import one_thread_a_product
from cate_hf.search.base import Optimizer


class Rounds(Optimizer):
    """`initial` random candidates, then, whenever the last list of proposals has been asked for, another one.

    Candidates whose evaluation failed do not count among the initial ones: others are drawn in their place. Where more
    is asked for before the initial ones are told, it is random too.
    """

    defaults = {"initial": 16}
    _state: ClassVar[tuple[str, ...]] = ("_queue", "_round")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._queue: list[int] = []
        self._round = 0

    @abstractmethod
    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        """Unseen distinct rows, best first, from what was told: rows and values (n,) with n at least 1."""

    def _propose(self, n: int) -> list[int]:
        self._queue = [row for row in self._queue if self._status[row] == 0]  # told meanwhile without being asked
        if not self._queue:
            self._queue = self._fill()
        proposed, self._queue = self._queue[:n], self._queue[n:]
        return proposed

    def _fill(self) -> list[int]:
        rows, values = self._observed()
        initial = self.settings["initial"]
        if not len(rows) or (self._round == 0 and len(rows) < initial):
            return self._draw_unseen(max(1, initial - len(rows) - len(self._pending)))
        self._round += 1
        with one_thread_a_product():
            return self._next_round(rows, values)


def best_of(scores: np.ndarray, free: np.ndarray, count: int) -> list[int]:
    """Return the `count` free rows with the highest scores (N,), best first, ties by row."""
    rows = np.flatnonzero(free)
    scores = scores[rows]
    count = min(count, len(rows))
    if count < len(rows):
        near = np.flatnonzero(scores >= np.partition(scores, len(rows) - count)[len(rows) - count])
        rows, scores = rows[near], scores[near]
    return rows[np.argsort(-scores, kind="stable")[:count]].tolist()
