"""The search of CATE's study outside its search space (Yan et al., ICML 2021, section 4.3 and appendix)."""

from cate_hf.search._predictor import PredictorSearch


class MlpPredictor(PredictorSearch):
    """16 random candidates, then rounds of the 5 that a network predicts to be best, trained afresh on all.

    Settings:
        initial: 16; proposed: 5 a round.
        units, epochs, batch, learning_rate, weight_decay: of the network, one hidden layer of 128 ReLU units trained by
            AdamW (1e-2, decay 0.01) for 100 epochs in batches of 5.
    """

    name = "mlp-predictor"
    defaults = {
        "initial": 16,
        "proposed": 5,
        "units": 128,
        "epochs": 100,
        "batch": 5,
        "learning_rate": 1e-2,
        "weight_decay": 0.01,
    }
