"""BANANAS (White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search",
AAAI 2021), on any encoding."""

import numpy as np

from cate_hf.search._rounds import Rounds, best_of
from cate_hf.search._steps import Stepping
from cate_hf.surrogates.acquisition import log_expected_improvement
from cate_hf.surrogates.network import Training, fit_networks


class Bananas(Rounds, Stepping):
    """10 random candidates, then rounds of 10 by an ensemble's predictions.

    An ensemble of small networks, each with its own initial weights and order of the data, predicts a mean and a
    deviation. Scores are independent Thompson samples, one draw a candidate from the normal distribution of those two,
    or expected improvement over the best so far; what is scored are steps from the best so far, or all candidates.

    The networks have one hidden layer where White et al. have ten of 20 units; the loss is the squared error where
    theirs is relative.

    Settings:
        initial: 10; proposed: 10 a round; members: of the ensemble, 5.
        acquisition: "thompson" or "expected-improvement".
        scored: "mutations" or "all".
        parents: the best so far from which steps are taken, 10.
        perturb, nearest: of steps.
        units, epochs, batch, learning_rate, weight_decay: of each network.
    """

    name = "bananas"
    needs_encodings = True
    defaults = {
        "initial": 10,
        "proposed": 10,
        "members": 5,
        "acquisition": "thompson",
        "scored": "mutations",
        "parents": 10,
        **Stepping.defaults,
        **Training(units=64, epochs=100, batch=32).settings(),
    }
    choices = {
        "perturb": ("space", "encoding"),
        "acquisition": ("thompson", "expected-improvement"),
        "scored": ("mutations", "all"),
    }

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        seeds = self.rng.integers(2**31, size=self.settings["members"]).tolist()
        ensemble = fit_networks(self.encodings[rows], values, Training.of(self.settings, "relu"), seeds)
        among = self._scored(rows, values)
        inputs = self.encodings if among is None else self.encodings[among]
        predictions = np.stack([network.predict(inputs) for network in ensemble]).astype(np.float64)
        mean, deviation = predictions.mean(0), predictions.std(0, ddof=min(1, len(ensemble) - 1))
        if self.settings["acquisition"] == "thompson":
            score = mean + deviation * self.rng.standard_normal(len(mean))
        else:
            score = log_expected_improvement(mean, deviation, float(values.max()))
        if among is None:
            return best_of(score, self._is_free(), self.settings["proposed"])
        best = best_of(score, np.ones(len(score), dtype=bool), self.settings["proposed"])
        return among[best].tolist()

    def _scored(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray | None:
        """Rows to choose from, None for all; where steps give fewer than are to be proposed, with random ones."""
        if self.settings["scored"] == "all":
            return None
        best = rows[np.argsort(-values, kind="stable")[: self.settings["parents"]]].tolist()
        if self.settings["perturb"] == "encoding" and self.encoding is None:  # all their lists at once
            self._nearest.find(best)
        among = np.unique(np.concatenate([self._steps_from(row) for row in best]).astype(np.intp))
        missing = self.settings["proposed"] - len(among)
        if missing > 0:
            others = np.setdiff1d(self._unseen(), among)
            drawn = self.rng.choice(others, size=min(missing, len(others)), replace=False)
            among = np.concatenate([among, drawn])
        return among
