"""Bayesian optimisation with DNGO (Snoek et al., ICML 2015) over pre-computed encodings, as arch2vec-BO (Yan et al.,
"Does Unsupervised Architecture Representation Learning Help Neural Architecture Search?", NeurIPS 2020)."""

import numpy as np

from cate_hf.search._predictor import training_of
from cate_hf.search._rounds import Rounds
from cate_hf.surrogates.acquisition import most_expected_improvement
from cate_hf.surrogates.dngo import SETTINGS, Dngo


class BayesianDngo(Rounds):
    """16 random candidates, then rounds of the 5 with the most expected improvement of all.

    Settings:
        initial: 16; proposed: 5 a round.
        target: what is to be improved on; None, the best so far.
        units, epochs, batch, learning_rate, weight_decay: of the network, 128 tanh units trained by Adam (1e-2) for 30
            epochs in batches of 10.
    """

    name = "bo-dngo"
    needs_encodings = True
    defaults = {"initial": 16, "proposed": 5, "target": None, **SETTINGS}

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        seed = int(self.rng.integers(2**31))
        surrogate = Dngo(seed, training_of(self.settings, "tanh")).fit(self.encodings[rows], values)
        target = float(values.max()) if self.settings["target"] is None else self.settings["target"]
        return most_expected_improvement(
            surrogate, self.encodings, self._is_free(), self.settings["proposed"], target, self.longest
        )
