"""Labelled cells and a small encoder with random weights."""

import numpy as np
import pytest

from cate_hf import CateModel, CateTokenizer, get_space
from cate_hf.encodings.cate import Encoder
from cate_hf.predictor import fit_predictor
from tests.tiny import tiny_model


@pytest.fixture(scope="session")
def space():
    return get_space("nasbench101")


@pytest.fixture(scope="session")
def cells(space):
    return space.sample(160, seed=3).replace_columns({})


@pytest.fixture(scope="session")
def accuracies(space, cells):
    """Higher with more 3×3 convolutions and parameters; two cells diverged."""
    code = space.vocabulary.index("conv3x3-bn-relu")
    many = (cells.operation_codes == code).sum(1)
    values = 0.85 + 0.015 * many + 0.004 * np.log(space.parameters_many(cells) / 1e6)
    values[[5, 130]] = 0.1
    return values


@pytest.fixture(scope="session")
def encoder(space):
    model = tiny_model(model_class=CateModel)
    return Encoder(model, CateTokenizer.from_config(model.config), device="cpu")


@pytest.fixture(scope="session")
def fitted(encoder, cells, accuracies):
    """A predictor of accuracy and latency from 60 cells. Not to be changed."""
    labels = {"accuracy": accuracies[:60], "latency": 2.0 - accuracies[:60]}
    return fit_predictor(cells[:60], labels, encoder=encoder, members=2, epochs=6, seed=1)
