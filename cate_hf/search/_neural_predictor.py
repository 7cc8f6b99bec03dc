"""Searches that query what a feed-forward network on the encodings predicts to be best."""

import numpy as np

from cate_hf.search._rounds import Rounds, best_of
from cate_hf.surrogates.network import Network, Training

_AT_ONCE = 64  # proposals taken from the ranking


class MlpPredictor(Rounds):
    """The search of CATE's study outside its search space (Yan et al., ICML 2021, section 4.3 and appendix): 16 random
    candidates, then rounds of the 5 that a network predicts to be best, trained afresh on all values.

    Settings:
        initial: 16; proposed: 5 a round.
        units, epochs, batch, learning_rate, weight_decay: of the network, one hidden layer of 128 ReLU units trained by
            AdamW (1e-2, decay 0.01) for 100 epochs in batches of 5.
    """

    name = "mlp-predictor"
    needs_encodings = True
    defaults = {"initial": 16, "proposed": 5, **Training(epochs=100, batch=5, weight_decay=0.01).settings()}

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        return best_of(self._predict(rows, values), self._is_free(), self.settings["proposed"])

    def _predict(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(N,) predictions of all candidates."""
        seed = int(self.rng.integers(2**31))
        network = Network.fit(self.encodings[rows], values, Training.of(self.settings, "relu"), seed)
        return network.predict(self.encodings)


class NeuralPredictor(MlpPredictor):
    """The neural predictor (Wen et al., "Neural Predictor for Neural Architecture Search", ECCV 2020), on encodings:
    train once on random candidates, predict all, and query the best of them, down the ranking.

    Wen et al. predict by a graph convolution; here an encoding takes the graph's place and a feed-forward network the
    convolution's, as in White et al.'s study of encodings. Their first stage, a classifier that sorts out cells below
    91 %, is left out.

    Settings:
        initial: n, on which it is trained, 75.
        units, epochs, batch, learning_rate, weight_decay: of the network, one hidden layer of 128 ReLU units trained by
            AdamW (1e-2, decay 0.01) for 300 epochs in batches of 10.
    """

    name = "neural-predictor"
    defaults = {"initial": 75, **Training(epochs=300, weight_decay=0.01).settings()}
    _arrays = ("_ranking",)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._ranking: np.ndarray | None = None  # (N,) int32, all rows, the best first

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        if self._ranking is None:
            self._ranking = np.argsort(-self._predict(rows, values), kind="stable").astype(np.int32)
        unseen = self._ranking[self._status[self._ranking] == 0]
        return unseen[:_AT_ONCE].tolist()
