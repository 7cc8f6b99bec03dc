import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

import cate_hf
from cate_hf import checkpoint_path, load_encoder
from cate_hf.hub._layout import checkpoint_names, remote_code_files
from cate_hf.hub.load import load_model
from cate_hf.hub.save import save_checkpoint
from tests.tiny import CELLS, save_tiny, tiny_model

# Runs in a process in which cate_hf cannot be imported, and nothing can be downloaded.
REMOTE_SCRIPT = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cate_hf":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoTokenizer

path, cells = sys.argv[1], json.loads(sys.argv[2])
kind = AutoConfig.from_pretrained(path, trust_remote_code=True).model_type
tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=True)
model = AutoModel.from_pretrained(path, trust_remote_code=True).eval()
batch = tokenizer(cells, return_tensors="pt")
pairs = AutoModelForPreTraining.from_pretrained(path, trust_remote_code=True).eval()
other = {f"pair_{name}": value for name, value in batch.items()}
decoded = tokenizer.decode(batch["input_ids"][0], batch["adjacency"][0])
operations = decoded["operations"] if isinstance(decoded, dict) else list(decoded.operations)
print(json.dumps({
    "classes": [type(model).__name__, type(pairs).__name__, type(tokenizer).__name__],
    "encodings": model(**batch).pooler_output.tolist(),
    "logits": pairs(**batch, **other).logits.tolist(),
    "operations": operations,
    "package": "cate_hf" in sys.modules,
}))
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("checkpoint") / "tiny", wiring_dim=24)


def test_a_checkpoint_has_all_that_travels(checkpoint):
    names = {path.name for path in checkpoint.iterdir()}
    code = {file.name for file in remote_code_files()}
    assert {"configuration_cate.py", "modeling_cate.py", "tokenization_cate.py"} <= code <= names
    assert {"config.json", "model.safetensors", "tokenizer_config.json", "vocab.json", "README.md"} <= names
    config = json.loads((checkpoint / "config.json").read_text())
    assert set(config["auto_map"]) == {
        "AutoConfig",
        "AutoModel",
        "AutoModelForPreTraining",
        "AutoModelForSequenceClassification",
        "AutoTokenizer",
    }
    assert (checkpoint / "model.safetensors").stat().st_mode == (checkpoint / "config.json").stat().st_mode


def test_auto_classes_load_our_own_without_remote_code(checkpoint, tmp_path):
    import shutil

    poisoned = tmp_path / "poisoned"
    shutil.copytree(checkpoint, poisoned)
    for file in remote_code_files():
        (poisoned / file.name).write_text("raise RuntimeError('remote code was run')")
    assert type(AutoConfig.from_pretrained(poisoned)) is cate_hf.CateConfig
    assert type(AutoTokenizer.from_pretrained(poisoned)) is cate_hf.CateTokenizer
    assert type(AutoModel.from_pretrained(poisoned)) is cate_hf.CateModel
    assert type(AutoModelForPreTraining.from_pretrained(poisoned)) is cate_hf.CateForPreTraining
    head = AutoModelForSequenceClassification.from_pretrained(poisoned)
    assert type(head) is cate_hf.CateForSequenceClassification
    assert load_encoder(poisoned).encode(CELLS).shape == (3, 16 + 24)


@pytest.mark.parametrize("name", checkpoint_names())
def test_bundled_folders_have_no_code_and_load(name):
    folder = checkpoint_path(name)
    assert not list(folder.rglob("*.py"))
    for file in ("config.json", "tokenizer_config.json"):
        assert "auto_map" not in json.loads((folder / file).read_text())
    vectors = []
    with warnings.catch_warnings(action="error"):
        for options in ({}, {"trust_remote_code": False}, {"trust_remote_code": True}):
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            model = AutoModel.from_pretrained(folder, **options).eval()
            assert type(AutoConfig.from_pretrained(folder, **options)) is cate_hf.CateConfig
            assert (type(tokenizer), type(model)) == (cate_hf.CateTokenizer, cate_hf.CateModel)
            cells = [_chain(model.config.operations)]
            with torch.inference_mode():
                vectors.append(model(**tokenizer(cells, return_tensors="pt")).pooler_output.numpy())
        encoder = load_encoder(name)
    for vector in vectors:
        np.testing.assert_allclose(vector, encoder.encode(cells), atol=1e-5)


def _chain(operations):
    return cate_hf.Architecture([operations[0], operations[1], operations[-1]], [[0, 1, 1], [0, 0, 1], [0, 0, 0]])


def test_an_exported_checkpoint_loads_where_the_package_is_not(tmp_path, capsys):
    from cate_hf.cli import main

    folder = tmp_path / "copy"
    assert main(["export", "nasbench101", str(folder)]) == 0
    bundled = checkpoint_path("nasbench101")
    code = {file.name for file in remote_code_files()}
    assert {path.name for path in folder.iterdir()} == {path.name for path in bundled.iterdir()} | code
    assert (folder / "model.safetensors").read_bytes() == (bundled / "model.safetensors").read_bytes()
    result = load_without_the_package(folder, tmp_path)
    np.testing.assert_allclose(result["encodings"], load_encoder("nasbench101").encode(CELLS), atol=1e-5)
    assert main(["export", "nasbench101", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err
    (folder / "modeling_cate.py").write_text("raise SystemExit(7)")
    assert main(["export", str(folder), str(folder), "--overwrite"]) == 0  # code that was there is not copied
    assert {file.read_bytes() for file in remote_code_files()} == {(folder / name).read_bytes() for name in code}
    (folder / "notes.txt").write_text("mine")
    assert main(["export", "nasbench101", str(folder), "--overwrite"]) == 2
    assert "'notes.txt'" in capsys.readouterr().err
    assert main(["export", "nasbench10l", str(tmp_path / "other")]) == 2
    assert "did you mean 'nasbench101'" in capsys.readouterr().err
    assert main(["export", "nasbench101-accuracy", str(tmp_path / "predictor")]) == 0
    config = json.loads((tmp_path / "predictor" / "config.json").read_text())
    assert config["auto_map"]["AutoModelForSequenceClassification"] == "modeling_cate.CateForSequenceClassification"
    assert (tmp_path / "predictor" / "predictor.safetensors").is_file()


def test_a_checkpoint_saved_without_code(tmp_path):
    model = tiny_model()
    tokenizer = cate_hf.CateTokenizer.from_config(model.config)
    folder = save_checkpoint(tmp_path / "plain", model, tokenizer, {"space": "nasbench101"}, remote_code=False)
    assert not list(folder.glob("*.py"))
    assert "auto_map" not in (folder / "config.json").read_text() + (folder / "tokenizer_config.json").read_text()
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")  # by transformers: both store their code
    assert {file.name for file in remote_code_files()} <= {path.name for path in (tmp_path / "saved").iterdir()}
    auto_map = json.loads((tmp_path / "saved" / "config.json").read_text())["auto_map"]
    assert {"AutoConfig", "AutoModelForPreTraining"} <= set(auto_map)
    for either in (folder, tmp_path / "saved"):
        np.testing.assert_allclose(load_encoder(either).encode(CELLS), load_encoder(folder).encode(CELLS))


@pytest.mark.long
def test_remote_code_loads_where_the_package_is_not(checkpoint, tmp_path):
    result = load_without_the_package(checkpoint, tmp_path)
    np.testing.assert_allclose(result["encodings"], load_encoder(checkpoint).encode(CELLS), atol=1e-6)
    batch = cate_hf.CateTokenizer.from_pretrained(checkpoint)(CELLS, return_tensors="pt")
    model = load_model(checkpoint, cate_hf.CateForPreTraining).eval()
    with torch.inference_mode():
        logits = model(**batch, **{f"pair_{name}": value for name, value in batch.items()}).logits
    np.testing.assert_allclose(result["logits"], logits, atol=1e-5)


def load_without_the_package(folder, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTHON", "TRANSFORMERS"))}
    environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    cells = json.dumps([cell.to_dict() for cell in CELLS])
    done = subprocess.run(
        [sys.executable, "-P", "-c", REMOTE_SCRIPT, str(folder), cells],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["classes"] == ["CateModel", "CateForPreTraining", "CateTokenizer"]
    assert not result["package"]
    assert result["operations"] == list(CELLS[0].operations)
    return result


@pytest.mark.parametrize("name", ["CateModel", "CateForPreTraining", "CateForSequenceClassification"])
def test_weights_survive_saving(name, tmp_path):
    model_class = getattr(cate_hf, name)
    folder = save_tiny(tmp_path / "saved", model_class)
    loaded = load_model(folder, model_class)
    for key, value in tiny_model(model_class=model_class).state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    assert load_encoder(folder).dim == 16


def test_bf16_weights_give_a_float32_encoder(tmp_path):
    model = tiny_model().to(torch.bfloat16)
    tokenizer = cate_hf.CateTokenizer.from_config(model.config)
    save_checkpoint(tmp_path / "half", model, tokenizer, {"space": "nasbench101"})
    assert load_file(tmp_path / "half" / "model.safetensors")["cate.embeddings.weight"].dtype == torch.bfloat16
    encoder = load_encoder(tmp_path / "half")
    assert encoder.model.dtype == torch.float32
    assert encoder.encode(CELLS).dtype == np.float32


def test_an_existing_folder_stays_unless_overwritten(tmp_path):
    folder = save_tiny(tmp_path / "once")
    before = (folder / "README.md").read_bytes()
    model = tiny_model()
    tokenizer = cate_hf.CateTokenizer.from_config(model.config)
    with pytest.raises(FileExistsError, match="once"):
        save_checkpoint(folder, model, tokenizer, {"space": "nasbench101"})
    with pytest.raises(ValueError, match="unknown fact 'step'; did you mean 'steps'"):
        save_checkpoint(folder, model, tokenizer, {"space": "nasbench101", "step": 1}, overwrite=True)
    assert (folder / "README.md").read_bytes() == before
    save_checkpoint(folder, model, tokenizer, {"space": "nasbench101", "steps": 12345}, overwrite=True)
    assert "12,345" in (folder / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["once"]


def damage(folder, how):
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text())
    if how == "no config":
        config_path.unlink()
    elif how == "not JSON":
        config_path.write_text("{")
    elif how == "another model":
        config_path.write_text(json.dumps(config | {"model_type": "bert"}))
    elif how == "unknown field":
        config_path.write_text(json.dumps(config | {"hidden_sice": 3}))
    elif how == "another size":
        config_path.write_text(json.dumps(config | {"hidden_size": 32}))
    elif how == "no weights":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif how == "truncated":
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    elif how == "weight missing":
        weights = load_file(folder / "model.safetensors")
        del weights["cate.norm.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    elif how == "no tokenizer":
        (folder / "tokenizer_config.json").unlink()
    elif how == "no vocabulary":
        (folder / "vocab.json").unlink()
    elif how == "another vocabulary":
        vocabulary = {"[PAD]": 0, "[MASK]": 1, "a": 2, "b": 3}
        (folder / "vocab.json").write_text(json.dumps(vocabulary))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no config", "no config.json"),
        ("not JSON", "config.json: not valid JSON"),
        ("another model", "model_type is 'bert', expected 'cate'"),
        ("unknown field", "hidden_sice"),
        ("another size", "has the shape .*, config.json makes it"),
        ("no weights", "pytorch_model.bin is a pickle, which is never loaded"),
        ("truncated", "model.safetensors: damaged or truncated"),
        ("weight missing", "1 weights of CateForPreTraining are missing, such as 'cate.norm.weight'"),
        ("no tokenizer", "no tokenizer_config.json"),
        ("no vocabulary", "vocab.json: no such file"),
        ("another vocabulary", "4 tokens, but the embedding has 7 rows"),
    ],
)
def test_damaged_folders_are_told_in_one_line(tmp_path, how, message):
    folder = save_tiny(tmp_path / "bad")
    damage(folder, how)
    with pytest.raises(ValueError, match=message) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)


def test_names_that_are_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="no bundled checkpoint 'nasbench10l'"):
        checkpoint_path("nasbench10l")
    with pytest.raises(ValueError, match="there is no such folder"):
        load_encoder(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="expected a checkpoint folder, found a file"):
        load_encoder(tmp_path / "file")


@pytest.mark.skipif("nasbench101" not in checkpoint_names(), reason="the bundled checkpoint is not made yet")
def test_the_bundled_checkpoint():
    folder = checkpoint_path("nasbench101")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 7_000_000
    with pytest.raises(ValueError, match="did you mean 'nasbench101'"):
        checkpoint_path("nasbench10l")
    encodings = load_encoder("nasbench101").encode(CELLS)
    assert encodings.shape == (3, load_model("nasbench101").config.encoding_size)
    assert np.isfinite(encodings).all()
    card = (folder / "README.md").read_text()
    assert "accelerate launch -m cate_hf.training.pretrain" in card
