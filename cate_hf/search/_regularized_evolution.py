"""Regularized evolution (Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019)."""

import numpy as np

from cate_hf.search._steps import Stepping


class RegularizedEvolution(Stepping):
    """The best of a few drawn from a population is mutated; the oldest of the population dies.

    The first candidates are random. The population are the last that were told, so that a child takes the place of the
    oldest. A parent is the best of those drawn, with replacement; its child is drawn from where a step from it leads
    (see `Stepping`). A parent with no step left passes the turn to the next best of the drawn, and where none has any a
    random candidate is taken.

    Settings:
        population: 30.
        tournament: how many are drawn, 10.
        perturb, nearest: of steps.
    """

    name = "regularized-evolution"
    defaults = {"population": 30, "tournament": 10, **Stepping.defaults}

    def _propose(self, n: int) -> list[int]:
        rows, values = self._observed()
        population = self.settings["population"]
        missing = population - len(self.rows) - int((self._status == 1).sum())
        if missing > 0 or not len(rows):
            return self._draw_unseen(min(n, max(missing, 1)))
        rows, values = rows[-population:], values[-population:]
        drawn = self.rng.integers(len(rows), size=self.settings["tournament"])
        for parent in dict.fromkeys(rows[drawn[np.argsort(-values[drawn], kind="stable")]].tolist()):
            child = self._one_step_from(parent)
            if child is not None:
                return [child]
        return self._draw_unseen(1)
