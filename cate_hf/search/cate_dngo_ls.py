"""CATE-DNGO-LS (Yan et al. 2021, section 4.2 and appendix): Bayesian optimisation with DNGO over pre-computed
encodings, and a local search among nearest neighbours in the encoding."""

import numpy as np

from cate_hf.search.base import Optimizer
from cate_hf.search.dngo import Dngo, log_expected_improvement

INITIAL = 16
PROPOSED = 5  # by expected improvement, each round
LOCAL = 5  # neighbours of the best so far, each round
PATIENCE = 20  # rounds without improvement before fresh random ones
TARGET = 1.0  # improvement is expected against a perfect accuracy


class CateDngoLs(Optimizer):
    """The paper's search: 16 random candidates, then rounds of 5 by expected improvement and 5 by local search.

    What was queried is never proposed again (in the reference code it is).
    """

    needs_encodings = True
    _state = ("_queue", "_round", "_best", "_stale")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._squared_norms = np.einsum("nd,nd->n", self.encodings, self.encodings)
        self._queue: list[int] = []
        self._round = 0
        self._best: float | None = None
        self._stale = 0

    def _propose(self, n: int) -> list[int]:
        self._queue = [row for row in self._queue if self._status[row] == 0]  # told meanwhile without being asked
        if not self._queue:
            self._queue = self._next_round()
        proposed, self._queue = self._queue[:n], self._queue[n:]
        return proposed

    def _next_round(self) -> list[int]:
        rows, values = self._observed()
        if len(rows) < min(INITIAL, len(self.candidates)) and self._round == 0:
            return self._draw_unseen(INITIAL - len(rows))
        if not len(rows):  # everything failed so far
            return self._draw_unseen(INITIAL)
        self._round += 1
        best = float(values.max())
        improved = self._best is None or best > self._best
        self._best, self._stale = best, 0 if improved else self._stale + 1
        if self._stale >= PATIENCE:
            self._stale = 0
            return self._draw_unseen(INITIAL)
        proposed = self._by_expected_improvement(rows, values)
        return proposed + self._by_local_search(rows, values, proposed)

    def _by_expected_improvement(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        surrogate = Dngo(seed=int(self.rng.integers(2**31))).fit(self.encodings[rows], values)
        score = log_expected_improvement(*surrogate.predict(self.encodings), TARGET)
        score[self._status != 0] = -np.inf
        count = min(PROPOSED, int((self._status == 0).sum()))
        top = np.argpartition(-score, count - 1)[:count]
        return top[np.argsort(-score[top], kind="stable")].tolist()

    def _by_local_search(self, rows: np.ndarray, values: np.ndarray, proposed: list[int]) -> list[int]:
        """For each of the best so far, its nearest candidate that is neither seen nor chosen in this round."""
        best = rows[np.argsort(-values, kind="stable")[:LOCAL]]
        distances = self._squared_norms[:, None] - 2 * (self.encodings @ self.encodings[best].T)  # (N, 5), less |best|²
        # What float32 may be wrong by: those as near as that are compared in float64.
        rounding = (2 * self.encodings.shape[1] + 8) * 1.2e-7 * float(self._squared_norms.max())
        taken = self._status != 0
        taken[proposed] = True
        chosen: list[int] = []
        for column in range(len(best)):
            distance = np.where(taken, np.inf, distances[:, column])
            if taken[distance.argmin()]:  # nothing is left
                break
            near = np.flatnonzero(distance <= distance.min() + rounding)
            exact = self.encodings[near].astype(np.float64) - self.encodings[best[column]]
            row = int(near[np.einsum("nd,nd->n", exact, exact).argmin()])
            taken[row] = True
            chosen.append(row)
        return chosen
