"""transformers' pipelines over checkpoints: what they give is what the model gives, in batches too."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from cate_hf import CateConfig, CateForSequenceClassification, load_predictor
from cate_hf.predictor.files import predictor_path
from tests.tiny import CELLS, save_tiny

FORMS = {
    "architectures": CELLS,
    "dicts": [cell.to_dict() for cell in CELLS],
    "rows with other columns": [cell.to_dict() | {"hash": "x", "accuracy": 0.9} for cell in CELLS],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    labels = {"id2label": {0: "accuracy", 1: "latency"}, "label2id": {"accuracy": 0, "latency": 1}}
    return save_tiny(tmp_path_factory.mktemp("pipelines") / "tiny", CateForSequenceClassification, **labels)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_text_classification_gives_the_numbers_themselves(folder, form, batch_size):
    pipe = pipeline("text-classification", model=str(folder), top_k=None)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        expected = model(**AutoTokenizer.from_pretrained(folder)(CELLS, return_tensors="pt")).logits
    found = pipe(FORMS[form], batch_size=batch_size)
    values = [{entry["label"]: entry["score"] for entry in entries} for entries in found]
    assert all(set(entries) == {"accuracy", "latency"} for entries in values)
    np.testing.assert_allclose([[v["accuracy"], v["latency"]] for v in values], expected, atol=1e-6)
    single = {entry["label"]: entry["score"] for entry in pipe(FORMS[form][1])}
    assert single["accuracy"] == pytest.approx(values[1]["accuracy"], abs=1e-6)


def test_a_saved_predictor_through_a_pipeline():
    folder = predictor_path("nasbench101-accuracy")
    expected = load_predictor("nasbench101-accuracy", device="cpu").by_members(CELLS)[:, 0]
    pipe = pipeline("text-classification", model=str(folder))
    found = pipe(FORMS["dicts"], batch_size=3)
    np.testing.assert_allclose([entry["score"] for entry in found], expected, atol=1e-5)
    assert all(0.5 < value < 1 for value in expected)
    assert {entry["label"] for entry in found} == set(AutoConfig.from_pretrained(folder).id2label.values())
    assert json.loads((folder / "config.json").read_text())["problem_type"] == "regression"


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_feature_extraction_gives_the_nodes_states(folder, form, batch_size):
    pipe = pipeline("feature-extraction", model=str(folder))
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for cell, found in zip(CELLS, pipe(FORMS[form], batch_size=batch_size), strict=True):
        with torch.no_grad():
            expected = model(**tokenizer(cell, return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(np.array(found)[0, : cell.num_nodes], expected, atol=1e-5)
        assert len(found[0]) == (cell.num_nodes if batch_size == 1 else 7)  # in a batch all are as long as the longest


def test_what_is_saved_says_so(folder, tmp_path):
    saved = json.loads((folder / "config.json").read_text())
    assert saved["problem_type"] == "regression"
    assert saved["architectures"] == ["CateForSequenceClassification"]
    with pytest.raises(ValueError, match="problem_type must be 'regression'"):
        CateForSequenceClassification(CateConfig(problem_type="multi_label_classification", num_labels=2))
    model = CateForSequenceClassification(CateConfig(hidden_size=16))
    assert not model.can_generate()
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "generation_config.json").exists()


def test_keywords_are_one_architecture(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    one = tokenizer(**CELLS[0].to_dict(), return_tensors="pt")
    assert torch.equal(one["adjacency"], tokenizer(CELLS[0], return_tensors="pt")["adjacency"])
    many = {key: [cell.to_dict()[key] for cell in CELLS] for key in ("operations", "adjacency")}
    with pytest.raises(ValueError, match="one architecture's; give many as a list"):
        tokenizer(**many)
    with pytest.raises(TypeError, match="unexpected argument 'text'"):
        tokenizer(text="conv3x3")
