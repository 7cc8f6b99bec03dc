import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import cate_hf
from cate_hf import load_encoder
from cate_hf.hub._checks_files import CheckpointError, check_repo_names
from cate_hf.hub._layout import checkpoint_names
from cate_hf.hub.checks import check_checkpoint_folder
from cate_hf.hub.load import checkpoint_path, load_model, load_tokenizer
from tests.hub.hostile_cases import CASES, NORM, WEIGHTS
from tests.tiny import CELLS, save_tiny

MODELS = ["CateModel", "CateForPreTraining", "CateForSequenceClassification"]
DOCUMENT = Path(__file__).parents[2] / "docs" / "trust.md"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("sound") / "tiny")


@pytest.fixture
def folder(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("name", CASES)
def test_hostile_folders_are_refused_in_one_line(name, folder):
    spoil, message = CASES[name]
    spoil(folder)
    before = {path.name: path.lstat().st_size for path in folder.iterdir()}
    with pytest.raises(CheckpointError, match=message) as caught:
        check_checkpoint_folder(folder)
    assert str(caught.value).isprintable()  # one line, without control characters of the folder's
    assert len(str(caught.value)) < 500
    with pytest.raises(ValueError, match=r"\S") as loaded:
        load_encoder(folder)
    assert str(loaded.value).isprintable()
    assert {path.name: path.lstat().st_size for path in folder.iterdir()} == before


def test_the_document_lists_every_case():
    rows = re.findall(r"^\| ([^|]+?) \| refused: ", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(CASES)


@pytest.mark.parametrize("name", MODELS)
def test_sound_folders_pass(name, tmp_path):
    model_class = getattr(cate_hf, name)
    checked = check_checkpoint_folder(save_tiny(tmp_path / "saved", model_class))
    assert checked.model_class == name
    stored = load_model(tmp_path / "saved", model_class).state_dict()
    assert checked.parameters == sum(tensor.numel() for tensor in stored.values())
    assert checked.config.hidden_size == 16
    assert checked.remarks == ()


@pytest.mark.parametrize("config", [{"tie_word_embeddings": True}, {"edge_bias": True, "attention_direction": "split"}])
def test_shapes_follow_the_model(config, tmp_path):
    folder = save_tiny(tmp_path / "saved", **config)
    check_checkpoint_folder(folder)
    assert load_encoder(folder).encode(CELLS).shape[0] == 3


@pytest.mark.parametrize("name", checkpoint_names())
def test_bundled_checkpoints_pass(name):
    assert check_checkpoint_folder(checkpoint_path(name)).remarks == ()


def test_pickles_beside_weights_are_left_alone(folder):
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch evil'\ntR.")
    checked = check_checkpoint_folder(folder)
    assert checked.remarks == ("'pytorch_model.bin' is never read: only safetensors are",)
    assert load_encoder(folder).encode(CELLS).shape[0] == 3


def sharded(folder):
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    weight_map = {}
    for i, part in enumerate((names[::2], names[1::2])):
        file = f"model-{i + 1:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return weight_map


def test_weights_in_several_files(folder):
    expected = load_encoder(folder).encode(CELLS)
    weight_map = sharded(folder)
    assert np.array_equal(load_encoder(folder).encode(CELLS), expected)
    other = next(file for file in weight_map.values() if file != weight_map[NORM])
    index = {"metadata": {}, "weight_map": weight_map | {NORM: other}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=f"{NORM}' is not where the index says"):
        check_checkpoint_folder(folder)


def test_links_into_the_cache_of_huggingface_hub_are_allowed(sound, tmp_path):
    repo = tmp_path / "models--team--encoder"
    snapshot = repo / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    for i, path in enumerate(sorted(sound.iterdir())):
        shutil.copy(path, repo / "blobs" / f"{i:040}")
        os.symlink(f"../../blobs/{i:040}", snapshot / path.name)
    assert np.array_equal(load_encoder(snapshot).encode(CELLS), load_encoder(sound).encode(CELLS))
    shutil.copy(sound / "README.md", repo / "outside")
    (snapshot / "README.md").unlink()
    os.symlink("../../outside", snapshot / "README.md")
    with pytest.raises(CheckpointError, match=r"'README.md' is a link that leaves the folder"):
        check_checkpoint_folder(snapshot)


def test_links_within_the_folder_and_to_it_are_allowed(folder, tmp_path):
    (folder / WEIGHTS).rename(folder / "weights")
    os.symlink("weights", folder / WEIGHTS)
    os.symlink(folder, tmp_path / "link")
    assert load_encoder(tmp_path / "link").encode(CELLS).shape[0] == 3


def test_the_tokenizer_alone_does_not_need_sound_weights(folder):
    CASES["NaN among the weights"][0](folder)
    assert load_tokenizer(folder).vocab_size == 7
    with pytest.raises(ValueError, match="infinite or NaN"):
        load_model(folder)


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/etc/passwd", "a//b", "./a", "", "a\\..\\b", "C:x", "a\nb", "a\x00b", "\u202egnp.exe", ".."],
)
def test_names_that_leave_a_repository(name):
    with pytest.raises(CheckpointError, match="refused"):
        check_repo_names(["config.json", name])


def test_names_of_a_repository():
    check_repo_names(["config.json", "data/train-00000.parquet", "README.md", "übung.json", "..a", "a..b"])
    with pytest.raises(CheckpointError, match=r"'config.json' and 'Config.JSON' would be one file"):
        check_repo_names(["config.json", "Config.JSON"])
