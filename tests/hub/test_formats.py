"""Checkpoints in the formats of earlier versions, kept as they were written, and of later ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cate_hf import CateForPreTraining, load_encoder
from cate_hf.hub.load import load_model, load_tokenizer
from tests.tiny import CELLS

FROZEN = Path(__file__).with_name("frozen")  # never written anew: a new format gets its own, by freeze_format.py


@pytest.mark.parametrize("name", sorted(path.stem for path in FROZEN.glob("*.json")))
def test_an_old_checkpoint_loads_to_the_same_numbers(name):
    expected = json.loads((FROZEN / f"{name}.json").read_text())
    np.testing.assert_allclose(load_encoder(FROZEN / name).encode(CELLS), expected["encodings"], atol=2e-5)

    batch = load_tokenizer(FROZEN / name)(CELLS, return_tensors="pt")
    model = load_model(FROZEN / name, CateForPreTraining).eval()
    with torch.inference_mode():
        logits = model(**batch, **{f"pair_{key}": value.flip(0) for key, value in batch.items()}).logits
    assert list(logits.shape) == expected["logits_shape"]
    nodes = CELLS[0].num_nodes
    np.testing.assert_allclose(logits[0, :nodes], expected["logits_of_the_first_pair"][:nodes], atol=5e-5)


@pytest.mark.parametrize("version", [0, 10_000, "2", None])
def test_a_format_that_is_not_known_is_told_in_one_line(tmp_path, version):
    folder = tmp_path / "later"
    shutil.copytree(FROZEN / "format_1", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format_version": version, "a_field_of_later": 1}))
    expected = "made by a newer version of cate_hf" if version == 10_000 else "format_version is .*, expected"
    with pytest.raises(ValueError, match=expected) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
