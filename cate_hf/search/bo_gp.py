"""Bayesian optimisation with a Gaussian process over pre-computed encodings (Snoek et al., "Practical Bayesian
Optimization of Machine Learning Algorithms", NeurIPS 2012)."""

import numpy as np

from cate_hf.search._rounds import Rounds
from cate_hf.surrogates.acquisition import most_expected_improvement
from cate_hf.surrogates.gp import GaussianProcess


class BayesianGp(Rounds):
    """16 random candidates, then rounds of the 5 with the most expected improvement of all.

    The marginal likelihood is maximised from the last round's hyper-parameters on.

    Settings:
        initial: 16; proposed: 5 a round.
        target: what is to be improved on; None, the best so far.
    """

    name = "bo-gp"
    needs_encodings = True
    defaults = {"initial": 16, "proposed": 5, "target": None}
    _state = (*Rounds._state, "_logs")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._logs: list[float] | None = None

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        surrogate = GaussianProcess.fit(self.encodings[rows], values, self._logs)
        self._logs = surrogate.logs
        target = float(values.max()) if self.settings["target"] is None else self.settings["target"]
        return most_expected_improvement(
            surrogate, self.encodings, self._is_free(), self.settings["proposed"], target, self.longest
        )
