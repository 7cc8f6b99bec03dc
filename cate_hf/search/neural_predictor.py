"""The neural predictor (Wen et al., "Neural Predictor for Neural Architecture Search", ECCV 2020), on encodings."""

import numpy as np

from cate_hf.search._predictor import training_of
from cate_hf.search._rounds import Rounds
from cate_hf.surrogates.network import Network

_AT_ONCE = 64  # proposals taken from the ranking


class NeuralPredictor(Rounds):
    """Train once on random candidates, predict all, and query the best of them, down the ranking.

    Wen et al. predict by a graph convolution; here an encoding takes the graph's place and a feed-forward network the
    convolution's, as in White et al.'s study of encodings. Their first stage, a classifier that sorts out cells below
    91 %, is left out.

    Settings:
        initial: n, on which it is trained, 75.
        units, epochs, batch, learning_rate, weight_decay: of the network, one hidden layer of 128 ReLU units trained by
            AdamW (1e-2, decay 0.01) for 300 epochs in batches of 10.
    """

    name = "neural-predictor"
    needs_encodings = True
    defaults = {
        "initial": 75,
        "units": 128,
        "epochs": 300,
        "batch": 10,
        "learning_rate": 1e-2,
        "weight_decay": 0.01,
    }
    _arrays = ("_ranking",)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._ranking: np.ndarray | None = None  # (N,) int32, all rows, the best first

    def _next_round(self, rows: np.ndarray, values: np.ndarray) -> list[int]:
        if self._ranking is None:
            seed = int(self.rng.integers(2**31))
            network = Network.fit(self.encodings[rows], values, training_of(self.settings, "relu"), seed)
            self._ranking = np.argsort(-network.predict(self.encodings), kind="stable").astype(np.int32)
        unseen = self._ranking[self._status[self._ranking] == 0]
        return unseen[:_AT_ONCE].tolist()
