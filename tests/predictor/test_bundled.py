import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from transformers import AutoModelForSequenceClassification

from cate_hf import get_space, load_benchmark, load_predictor
from cate_hf.predictor.files import predictor_names


@pytest.fixture(scope="module")
def bundled():
    return load_predictor("nasbench101-accuracy", device="cpu")


def test_it_predicts_accuracies_and_holds_no_label(bundled):
    assert "nasbench101-accuracy" in predictor_names()
    assert bundled.labels is None
    assert bundled.process is None
    assert not {"folds", "residual_points"} & bundled.facts.keys()
    cells = get_space("nasbench101").sample(50, seed=8)
    mean, deviation = bundled.predict(cells)
    assert ((mean > 0.5) & (mean < 0.95)).all()
    assert ((deviation > 0) & (deviation < 0.2)).all()
    with pytest.raises(ValueError, match="saved without its labels"):
        bundled.update(cells[:5], np.linspace(0.8, 0.9, 5))


def test_a_name_that_is_no_predictor():
    for name in ("nasbench101", "nosuch", "nasbench101-acuracy"):
        with pytest.raises(ValueError, match=f"no bundled predictor '{name}'; .*nasbench101-accuracy.*no such folder"):
            load_predictor(name)


def test_what_its_card_says_of_unseen_cells(bundled, nasbench101_table):
    benchmark = load_benchmark("nasbench101", path=nasbench101_table)
    cells = get_space("nasbench101").sample(1500, seed=9)
    values = benchmark.query_many(cells, "test_accuracy")
    tau = kendalltau(bundled.predict(cells)[0], values)[0]
    assert tau == pytest.approx(bundled.facts["report"]["test_accuracy"]["kendall_tau"], abs=0.02)
    low, high = bundled.interval(cells, 0.9)
    assert ((values >= low) & (values <= high)).mean() == pytest.approx(0.9, abs=0.05)


def test_transformers_loads_its_members(bundled):
    from cate_hf.predictor.files import _folder

    model = AutoModelForSequenceClassification.from_pretrained(_folder("nasbench101-accuracy")).eval()
    cells = get_space("nasbench101").sample(20, seed=1)
    with torch.no_grad():
        logits = model(**bundled.tokenizer(cells, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(logits, bundled.by_members(cells), atol=1e-6)
