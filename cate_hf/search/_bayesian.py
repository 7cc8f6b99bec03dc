"""Bayesian optimisation over pre-computed encodings: with DNGO as arch2vec-BO (Yan et al., "Does Unsupervised
Architecture Representation Learning Help Neural Architecture Search?", NeurIPS 2020), and with a Gaussian process
(Snoek et al., "Practical Bayesian Optimization of Machine Learning Algorithms", NeurIPS 2012)."""

from abc import abstractmethod

import numpy as np

from cate_hf.search._rounds import Rounds
from cate_hf.surrogates.acquisition import Surrogate, most_expected_improvement
from cate_hf.surrogates.dngo import Dngo
from cate_hf.surrogates.gp import GaussianProcess
from cate_hf.surrogates.network import Training


class Bayesian(Rounds):
    """16 random candidates, then rounds of the 5 with the most expected improvement of all.

    Settings:
        initial: 16; proposed: 5 a round.
        target: the value to improve on; None for the best so far.
    """

    needs_encodings = True
    defaults = {"initial": 16, "proposed": 5, "target": None}

    @abstractmethod
    def _surrogate(self, rows: np.ndarray, values: np.ndarray) -> Surrogate:
        """Fit the model of this round."""

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        surrogate, target = self._surrogate(rows, values), self.settings["target"]
        if target is None:
            target = float(values.max())
        free, proposed = self._is_free(), self.settings["proposed"]
        return most_expected_improvement(surrogate, self.encodings, free, proposed, target, self.longest)


class BayesianDngo(Bayesian):
    """Bayesian optimisation with DNGO (Snoek et al., ICML 2015), a new network each round.

    Settings:
        initial: 16; proposed: 5 a round.
        target: the value to improve on; None for the best so far.
        units, epochs, batch, learning_rate, weight_decay: of the network, 128 tanh units trained by Adam (1e-2) for 30
            epochs in batches of 10.
    """

    name = "bo-dngo"
    defaults = {**Bayesian.defaults, **Training().settings()}

    def _surrogate(self, rows: np.ndarray, values: np.ndarray) -> Surrogate:
        seed = int(self.rng.integers(2**31))
        return Dngo(seed, Training.of(self.settings, "tanh")).fit(self.encodings[rows], values)


class BayesianGp(Bayesian):
    """Bayesian optimisation with a Gaussian process, whose marginal likelihood is maximised from the last round's
    hyper-parameters on.

    Settings:
        initial: 16; proposed: 5 a round.
        target: the value to improve on; None for the best so far.
    """

    name = "bo-gp"
    _state = (*Rounds._state, "_logs")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._logs: list[float] | None = None

    def _surrogate(self, rows: np.ndarray, values: np.ndarray) -> Surrogate:
        surrogate = GaussianProcess.fit(self.encodings[rows], values, self._logs)
        self._logs = surrogate.logs
        return surrogate
