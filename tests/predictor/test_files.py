import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from cate_hf import load_encoder
from cate_hf.predictor import fit_predictor, load_predictor
from cate_hf.predictor.files import PREDICTOR_FILE


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    return fitted.save(tmp_path_factory.mktemp("predictor") / "saved")


def test_it_comes_back_the_same(fitted, folder, cells):
    again = load_predictor(folder, device="cpu")
    for target in fitted.target_names:
        for ours, theirs in zip(fitted.predict(cells, target), again.predict(cells, target), strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-6)
    assert again.target_names == ["accuracy", "latency"]
    assert again.facts == json.loads(json.dumps(fitted.facts))
    np.testing.assert_array_equal(again.labels.columns["latency"], fitted.labels.columns["latency"])


def test_transformers_loads_the_ensemble(fitted, folder, cells):
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    batch = AutoTokenizer.from_pretrained(folder)(cells, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
    np.testing.assert_allclose(logits, fitted.by_members(cells), rtol=1e-6, atol=1e-6)
    assert model.config.id2label == {0: "accuracy", 1: "latency"}
    with torch.no_grad():
        one = fitted.models[0].cate(**batch).pooler_output.numpy()
    np.testing.assert_allclose(load_encoder(folder, device="cpu").encode(cells), one, atol=1e-5)


def test_the_folder_says_what_it_is(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "**A prediction, not a measurement.**" in card
    assert "without the Gaussian process and the trees" in card
    assert "| accuracy |" in card
    assert (folder / "residuals.png").stat().st_size > 2000
    assert not [file for file in folder.iterdir() if file.suffix in (".bin", ".pkl", ".pt", ".joblib")]


def test_without_labels_it_predicts_and_is_not_updated(fitted, folder, tmp_path, cells, accuracies):
    kept, folder = folder, fitted.save(tmp_path / "bare", keep_labels=False)
    assert not (folder / "labels.parquet").exists()
    assert (folder / "residuals.png").read_bytes() != (kept / "residuals.png").read_bytes()
    again = load_predictor(folder, device="cpu")
    np.testing.assert_allclose(again.predict(cells)[0], fitted.predict(cells)[0], rtol=1e-6)
    with pytest.raises(ValueError, match="saved without its labels"):
        again.update(cells[60:70], {"accuracy": accuracies[60:70], "latency": accuracies[60:70]})
    twice = again.save(tmp_path / "twice", keep_labels=False)  # without what a picture is drawn of
    assert not (twice / "residuals.png").exists()
    assert "residuals.png" not in (twice / "README.md").read_text(encoding="utf-8")


def test_a_picture_without_labels_shows_counts(fitted, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    from cate_hf.predictor.card import draw_residuals

    monkeypatch.setattr(Axes, "errorbar", lambda *args, **options: pytest.fail("drew single labels"))
    draw_residuals(fitted, tmp_path / "counts.png", single=False)
    assert (tmp_path / "counts.png").stat().st_size > 2000


def test_trees_alone_are_saved_too(space, cells, accuracies, tmp_path):
    predictor = fit_predictor(cells[:30], accuracies[:30], space=space, members=0)
    again = load_predictor(predictor.save(tmp_path / "trees"))
    np.testing.assert_allclose(again.predict(cells)[0], predictor.predict(cells)[0], rtol=1e-6)
    assert again.update(cells[30:40], accuracies[30:40]).facts["labels"] == 40


def test_a_folder_that_exists_is_kept(fitted, folder, tmp_path):
    with pytest.raises(FileExistsError, match="exists already"):
        fitted.save(folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(FileExistsError, match="thesis"):
        fitted.save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def _rewritten(folder, target, change):
    """A copy whose predictor file has another description or other arrays."""
    import shutil

    shutil.copytree(folder, target)
    with safe_open(folder / PREDICTOR_FILE, "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        about = json.loads(file.metadata()["predictor"])
    change(tensors, about)
    save_file(tensors, target / PREDICTOR_FILE, {"predictor": json.dumps(about)})
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, a: t.pop("trees.roots"), "lack 'roots'"),
        (lambda t, a: t["trees.link"].fill(2**30), "trees are damaged"),
        (lambda t, a: t.pop("combination.1.weights"), "combination of members and trees is damaged"),
        (lambda t, a: t["combination.0.held_out"].fill(np.nan), "not finite"),
        (lambda t, a: t.pop("process.inputs"), "Gaussian process is damaged"),
        (lambda t, a: t.pop("encoder.embeddings.weight"), "encoder does not fit"),
        (lambda t, a: a.pop("targets"), "description lacks 'targets'"),
        (lambda t, a: a.update(format=99), "format 99, this version reads 1"),
        (lambda t, a: a.update(members=5), "2 members, predictor.safetensors has 5"),
        (lambda t, a: a["targets"][0].update(colour=1), "unknown fields"),
    ],
)
def test_damaged_files_are_told(folder, tmp_path, change, message):
    broken = _rewritten(folder, tmp_path / "broken", change)
    with pytest.raises(ValueError, match=message):
        load_predictor(broken, device="cpu")


def test_what_is_no_predictor_is_told(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        load_predictor(tmp_path / "nothing")
    with pytest.raises(ValueError, match="no predictor.safetensors"):
        load_predictor(tmp_path)
    (tmp_path / PREDICTOR_FILE).write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match="damaged, or not of a predictor"):
        load_predictor(tmp_path)
