"""Regularized evolution (Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019)."""

import numpy as np

from cate_hf.search.base import Optimizer

POPULATION = 30
TOURNAMENT = 10


class RegularizedEvolution(Optimizer):
    """The best of a few drawn from a population is mutated; the oldest of the population dies.

    The first `POPULATION` candidates are random. The population are the last `POPULATION` that were told, so that a
    child takes the place of the oldest. A parent is the best of `TOURNAMENT` drawn with replacement; its child is one
    of its neighbours in the space, drawn from those among the candidates that were not asked for yet. A parent with
    none left passes the turn to the next best of the tournament, and where none has any a random candidate is taken.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._neighbours: dict[int, np.ndarray] = {}

    def _propose(self, n: int) -> list[int]:
        rows, values = self._observed()
        missing = POPULATION - len(self.rows) - int((self._status == 1).sum())
        if missing > 0 or not len(rows):
            return self._draw_unseen(min(n, max(missing, 1)))
        rows, values = rows[-POPULATION:], values[-POPULATION:]
        drawn = self.rng.integers(len(rows), size=TOURNAMENT)
        for parent in dict.fromkeys(rows[drawn[np.argsort(-values[drawn], kind="stable")]].tolist()):
            free = self._neighbours_of(parent)
            free = free[self._status[free] == 0]
            if len(free):
                return [int(self.rng.choice(free))]
        return self._draw_unseen(1)

    def _neighbours_of(self, row: int) -> np.ndarray:
        """Rows of a candidate's neighbours that are candidates too, in the order of the rows."""
        if row not in self._neighbours:
            rows = self._rows_of(self.space.neighbours(self.candidates[row]).columns["hash"])
            self._neighbours[row] = np.sort(rows[rows >= 0])
        return self._neighbours[row]
