"""Folders that host frameworks wrote: their own fields in the configurations are no fault."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
)

from cate_hf import CateConfig, CateModel, load_encoder
from cate_hf.hub.checks import CheckpointError, check_checkpoint_folder
from cate_hf.hub.load import load_tokenizer
from tests.hub.hostile_cases import change
from tests.tiny import CELLS, save_tiny

FOREIGN = {
    "use_cache": False,  # Trainer
    "max_length": 20,  # generation parameters of old checkpoints
    "do_sample": False,
    "output_attentions": False,
    "_name_or_path": "somewhere/else",
    "_commit_hash": None,
    "torchscript": False,  # fields of older versions of transformers
    "pruned_heads": {},
    "sep_token_id": 900_000,
    "tie_encoder_decoder": False,
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "peft_type": "LORA",
    "a_field_of_transformers_9": {"layers": [1, 2, 3]},
}
UNKNOWN = {
    *("torchscript", "pruned_heads", "sep_token_id", "tie_encoder_decoder", "quantization_config", "peft_type"),
    "a_field_of_transformers_9",
}


@pytest.fixture
def folder(tmp_path):
    return save_tiny(tmp_path / "tiny")


def remarks(caught) -> list[str]:
    return [str(w.message) for w in caught if "fields" in str(w.message)]


@pytest.mark.long
def test_a_model_that_a_trainer_saved(folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    rows = [dict(tokenizer(cell, padding=False), labels=[0.1 * i]) for i, cell in enumerate(CELLS * 2)]
    arguments = TrainingArguments(str(tmp_path / "run"), max_steps=2, use_cpu=True, report_to=[], save_steps=2)
    trainer = Trainer(model, arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    trainer.save_model(str(tmp_path / "tuned"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for saved in (tmp_path / "tuned", tmp_path / "run" / "checkpoint-2"):
            assert json.loads((saved / "config.json").read_text())["use_cache"] is False
            loaded = AutoModelForSequenceClassification.from_pretrained(saved).eval()
            batch = AutoTokenizer.from_pretrained(saved)(CELLS, return_tensors="pt")
            with torch.no_grad():
                torch.testing.assert_close(loaded(**batch).logits, model.eval()(**batch).logits)
                expected = loaded.cate(**batch).pooler_output.numpy()
            np.testing.assert_allclose(load_encoder(saved).encode(CELLS), expected, atol=1e-6)
    assert remarks(caught) == []  # transformers knows its own fields
    cells, output = tmp_path / "cells.jsonl", tmp_path / "encodings.parquet"
    cells.write_text("\n".join(json.dumps(cell.to_dict()) for cell in CELLS))
    command = ["encode", "--input", str(cells), "--model", str(tmp_path / "tuned"), "--output", str(output)]
    done = subprocess.run([sys.executable, "-m", "cate_hf.cli", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    encodings = np.stack(pq.read_table(output)["encoding"].to_numpy(zero_copy_only=False))
    np.testing.assert_allclose(encodings, expected, atol=1e-6)


def test_a_model_that_was_saved_without_its_tokenizer(folder, tmp_path):
    model = CateModel.from_pretrained(folder)
    model.save_pretrained(tmp_path / "alone")
    assert not (tmp_path / "alone" / "vocab.json").exists()
    np.testing.assert_array_equal(load_encoder(tmp_path / "alone").encode(CELLS), load_encoder(folder).encode(CELLS))


def test_foreign_fields_have_no_effect_and_one_warning_names_the_unknown(folder):
    expected = load_encoder(folder).encode(CELLS)
    change("config.json", **(FOREIGN | {"_commit_hash": "x"}))(folder)
    change("tokenizer_config.json", a_setting_of_transformers_9=[1], split_special_words=True)(folder)
    with pytest.warns(UserWarning, match="fields") as caught:
        encoder = load_encoder(folder)
    (remark,) = remarks(caught)
    named = set(remark.rpartition(": ")[2].split(", "))
    assert named == UNKNOWN | {"a_setting_of_transformers_9", "split_special_words"}
    np.testing.assert_array_equal(encoder.encode(CELLS), expected)
    assert not hasattr(encoder.model.config, "quantization_config")
    assert set(check_checkpoint_folder(folder).foreign) == named


def test_auto_classes_take_them_too(folder):
    change("config.json", **{k: v for k, v in FOREIGN.items() if k != "quantization_config"})(folder)
    expected = UNKNOWN - {"quantization_config"}
    for load in (AutoConfig, CateConfig, AutoModel):
        with pytest.warns(UserWarning, match="fields") as caught:
            load.from_pretrained(folder)
        (remark,) = set(remarks(caught))
        assert set(remark.rpartition(": ")[2].split(", ")) == expected
    config = AutoConfig.from_pretrained(folder)
    with pytest.warns(UserWarning, match="peft_type"):
        again = CateConfig(**config.to_dict())  # as hosts copy configurations
    assert again.peft_type == "LORA"
    assert again.hidden_size == config.hidden_size


@pytest.mark.parametrize("name", ["hidden_sice", "num_hiden_layers", "attention_directions"])
def test_misspelled_fields_are_refused_wherever_they_stand(folder, name):
    with pytest.raises(ValueError, match=f"no field '{name}'; did you mean"):
        CateConfig(**{name: 1})
    change("config.json", **{name: 1})(folder)
    for load in (load_encoder, AutoModel.from_pretrained, CateConfig.from_pretrained):
        with pytest.raises(ValueError, match=f"no field '{name}'; did you mean"):
            load(folder)


def test_misspelled_overrides_are_refused(folder):
    for load in (AutoConfig, CateConfig, AutoModel):
        with pytest.raises(ValueError, match="no field 'hiden_dropout_prob'; did you mean 'hidden_dropout_prob'"):
            load.from_pretrained(folder, hiden_dropout_prob=0.1)
    assert AutoConfig.from_pretrained(folder, hidden_dropout_prob=0.1).hidden_dropout_prob == 0.1


def test_in_a_call_any_unknown_field_is_refused():
    for name in ("peft_type", "layers", "quantization_config"):
        with pytest.raises(ValueError, match=f"no field '{name}'"):
            CateConfig(**{name: 1})
    assert CateConfig(use_cache=False, output_attentions=True, attn_implementation="eager").output_attentions


@pytest.mark.parametrize("name", ["bos_token", "tokenizer_file", "init_inputs", "operations", "pad_too"])
def test_settings_of_a_tokenizer_that_would_change_it_are_refused(folder, name):
    change("tokenizer_config.json", **{name: "x"})(folder)
    with pytest.raises(CheckpointError, match=f"'{name}' is not one of CATE's tokenizer"):
        load_tokenizer(folder)
