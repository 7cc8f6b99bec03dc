"""Predictors of accuracy and other labels from a few labelled architectures."""

from cate_hf.predictor.files import load_predictor
from cate_hf.predictor.fit import fit_predictor
from cate_hf.predictor.model import Predictor
from cate_hf.predictor.suggest import suggest_measurements

__all__ = ["Predictor", "fit_predictor", "load_predictor", "suggest_measurements"]
