"""Local search (White et al., "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021)."""

import math

from cate_hf.search._steps import Stepping


class LocalSearch(Stepping):
    """Hill climbing with restarts.

    A climb starts at the best of `initial` random candidates. Its neighbourhood is evaluated, in a random order where
    steps are in the space and the nearest first where they are in the encoding, and the climb moves to a better one;
    where there is none, another climb starts. Neighbours in the space that were evaluated before count too.

    More asked for while a neighbourhood is out for evaluation is random, and belongs to the start of the next climb.

    Settings:
        initial: random candidates of each start, 10.
        whole_neighbourhood: move to the best of it, after all of it was evaluated; else to the first that is better.
        perturb, nearest: of steps.
    """

    name = "local-search"
    defaults = {"initial": 10, "whole_neighbourhood": False, **Stepping.defaults}
    _state = ("_current", "_start", "_around", "_queue")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._current: int | None = None
        self._start: list[int] = []  # random rows of this start, or of the next while a climb goes on
        self._around: list[int] = []  # rows of the neighbourhood that were asked for, or were known before
        self._queue: list[int] = []  # the rest of it

    def _propose(self, n: int) -> list[int]:
        values = dict(zip(self.rows, self.values, strict=True))
        if self._current is None and not self._begin(values):
            missing = max(1, self.settings["initial"] - len(self._start))
            return self._random(min(n, missing))
        while True:
            self._queue = [row for row in self._queue if self._status[row] == 0]
            waiting = bool(self._queue) or any(row in self._pending for row in self._around)
            if not (waiting and self.settings["whole_neighbourhood"]) and self._climb(values):
                continue
            if self._queue:
                asked, self._queue = self._queue[:n], self._queue[n:]
                self._around += asked
                return asked
            if waiting:
                return self._random(1)
            self._current = None  # the top of a hill
            if not self._begin(values):
                return self._random(min(n, max(1, self.settings["initial"] - len(self._start))))

    def _random(self, n: int) -> list[int]:
        drawn = self._draw_unseen(n)
        self._start += drawn
        return drawn

    def _begin(self, values: dict[int, float]) -> bool:
        """Take the best of the start as the foot of a climb; False while it is not complete."""
        drawn = self._start
        if len(drawn) < self.settings["initial"] or any(row in self._pending for row in drawn):
            return False
        self._start = []
        good = [row for row in drawn if not math.isnan(values[row])]
        if good:
            self._move(max(good, key=values.__getitem__), values)
        return bool(good)

    def _climb(self, values: dict[int, float]) -> bool:
        """Move to the best of what is known around, where that is better."""
        assert self._current is not None
        known = [row for row in self._around if row in values and not math.isnan(values[row])]
        best = max(known, key=values.__getitem__, default=None)
        if best is None or values[best] <= values[self._current]:
            return False
        self._move(best, values)
        return True

    def _move(self, row: int, values: dict[int, float]) -> None:
        self._current = row
        steps = self._steps_from(row)
        if self.settings["perturb"] != "encoding":
            self._around = [other for other in self._neighbours_of(row).tolist() if other in values]
            steps = self.rng.permutation(steps)
        else:
            self._around = []
        self._queue = steps.tolist()
