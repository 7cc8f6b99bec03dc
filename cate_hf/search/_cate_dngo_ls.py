"""CATE-DNGO-LS (Yan et al., "CATE: Computation-aware Neural Architecture Encoding with Transformers", ICML 2021,
section 4.2 and appendix): Bayesian optimisation with DNGO over pre-computed encodings, and a local search among nearest
neighbours in the encoding.
"""

import numpy as np

from cate_hf.search._bayesian import BayesianDngo
from cate_hf.search._nearest import Nearest


class CateDngoLs(BayesianDngo):
    """The paper's search: 16 random candidates, then rounds of 5 by expected improvement and 5 by local search.

    What was queried is never proposed again (in the reference code it is).

    Settings:
        initial: random candidates at first, and again after `patience` rounds without improvement.
        proposed: by expected improvement over `target`, a perfect accuracy, each round.
        local: of the best so far, each round; the nearest of each is asked for.
        units, epochs, batch, learning_rate, weight_decay: of the network, as for `bo-dngo`.
    """

    name = "cate-dngo-ls"
    defaults = {**BayesianDngo.defaults, "local": 5, "patience": 20, "target": 1.0}
    _state = (*BayesianDngo._state, "_best", "_stale")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._nearest = Nearest(self.encodings, self.squared_norms)
        self._best: float | None = None
        self._stale = 0

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        best = float(values.max())
        improved = self._best is None or best > self._best
        self._best, self._stale = best, 0 if improved else self._stale + 1
        if self._stale >= self.settings["patience"]:
            self._stale = 0
            return self._draw_unseen(self.settings["initial"])
        proposed = super()._next_round(rows, values)
        return proposed + self._by_local_search(rows, values, proposed)

    def _by_local_search(self, rows: np.ndarray, values: np.ndarray, proposed: list[int]) -> list[int]:
        """For each of the best so far, its nearest candidate that is neither seen nor chosen in this round."""
        best = rows[np.argsort(-values, kind="stable")[: self.settings["local"]]].tolist()
        self._nearest.find(best)
        free = self._is_free()
        free[proposed] = False
        chosen: list[int] = []
        for row in best:
            for neighbour in self._nearest.free(row, free).tolist():
                free[neighbour] = False
                chosen.append(neighbour)
        return chosen
