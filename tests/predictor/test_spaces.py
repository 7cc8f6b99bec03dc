"""Predictors of one space that start from what another's labels made of an encoder of both; of a space of one's own."""

import warnings

import numpy as np
import pytest
import torch

from cate_hf import CateConfig, CateModel, CateTokenizer, get_space, load_predictor, propose
from cate_hf.encodings.cate import Encoder
from cate_hf.predictor import fit_predictor
from cate_hf.spaces.custom.custom_space import CustomSpace
from tests.tiny import SIZES, tiny_model


def test_from_one_space_to_another_of_one_encoder(cells, accuracies, encoder, tmp_path):
    model = tiny_model("nasbench101+nasbench201", CateModel)
    both = Encoder(model, CateTokenizer.from_config(model.config), device="cpu")
    first = fit_predictor(cells[:20], accuracies[:20], encoder=both, space="nasbench101", members=1, epochs=1)
    folder = first.save(tmp_path / "first")
    np.testing.assert_allclose(load_predictor(folder, "cpu").predict(cells)[0], first.predict(cells)[0], rtol=1e-6)
    others = get_space("nasbench201").sample(40, seed=0).replace_columns({})
    values = np.linspace(0.5, 0.9, 20)
    second = fit_predictor(others[:20], values, encoder=str(folder), space="nasbench201", members=1, epochs=1)
    assert second.space.name == "nasbench201"
    ours, theirs = second.features.encoder.model.state_dict(), first.models[0].cate.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    mean, _ = load_predictor(second.save(tmp_path / "second"), "cpu").predict(others[20:])
    np.testing.assert_allclose(mean, second.predict(others[20:])[0], rtol=1e-6)
    with pytest.raises(ValueError, match=r"the encoder is of nasbench101\+nasbench201, not of darts"):
        fit_predictor(cells[:20], accuracies[:20], encoder=both, space="darts", members=1)


def test_of_a_space_of_ones_own_with_a_frozen_encoder(tmp_path):
    space = CustomSpace(name="own", operations=["conv", "pool"], nodes=[2, 6], edges=[1, 8])
    model = CateModel(CateConfig.for_space(space, **SIZES)).eval()
    encoder = Encoder(model, CateTokenizer.from_config(model.config), device="cpu", search_space=space)
    cells = space.sample(40, seed=0).replace_columns({})
    values = np.linspace(0.5, 0.9, 20)
    first = fit_predictor(cells[:20], values, encoder=encoder, space=space, members=0)
    loaded = load_predictor(first.save(tmp_path / "own"), "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that the space were not known
        assert len(propose(loaded, n=3, rounds=1)) == 3
        np.testing.assert_allclose(loaded.predict(cells)[0], first.predict(cells)[0], rtol=1e-6)
