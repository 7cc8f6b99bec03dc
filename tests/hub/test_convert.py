import argparse
import json
import pickle

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForPreTraining, AutoTokenizer

import cate_hf  # noqa: F401
from cate_hf.hub.convert import convert_reference
from cate_hf.spaces import get_space
from tests.reference_oracle import Oracle, random_weights, save_reference

NB101, DARTS = (get_space(name).vocabulary for name in ("nasbench101", "darts"))


def random_cell(rng, vocabulary, nodes, inputs=1):
    ids = [*range(inputs), *rng.integers(inputs, len(vocabulary) - 1, nodes - inputs - 1), len(vocabulary) - 1]
    adjacency = np.triu(rng.random((nodes, nodes)) < 0.5, 1).astype(int)
    for node in range(inputs, nodes):
        adjacency[rng.integers(0, node), node] = 1
    return ids, adjacency


@pytest.mark.parametrize(
    ("vocabulary", "length", "sizes", "inputs", "prefix"),
    [(NB101, 7, range(2, 8), 1, ""), (DARTS, 15, [15] * 4, 2, "module.")],
    ids=["nasbench101", "darts"],
)
def test_converted_checkpoint_gives_the_reference_outputs(tmp_path, vocabulary, length, sizes, inputs, prefix):
    weights = random_weights(len(vocabulary), layers=12, cross_layers=24, prefix=prefix)
    save_reference(tmp_path / "model.pth.tar", weights)
    facts = convert_reference(tmp_path / "model.pth.tar", tmp_path / "out")
    assert (facts["layers"], facts["cross_layers"], facts["epoch"]) == (12, 24, 9)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["num_attention_heads"] == 8
    oracle = Oracle(weights)
    rng = np.random.default_rng(1)
    cells = [random_cell(rng, vocabulary, nodes, inputs) for nodes in sizes]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    named = [{"operations": [vocabulary[i] for i in ids], "adjacency": a.tolist()} for ids, a in cells]
    batch = tokenizer(named, return_tensors="pt")
    assert batch["input_ids"].shape == (len(cells), length)
    with torch.inference_mode():
        ours = AutoModel.from_pretrained(tmp_path / "out")(**batch).pooler_output.numpy()
        flipped = {f"pair_{k}": v.flip(0) for k, v in batch.items()}
        output = AutoModelForPreTraining.from_pretrained(tmp_path / "out")(**batch, **flipped)
    expected = np.stack([oracle.encode(*cell, length) for cell in cells])
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    logits = torch.cat([output.logits, output.pair_logits], 1).log_softmax(-1).numpy()
    pairs = np.stack([oracle.pair(x, y, length) for x, y in zip(cells, cells[::-1], strict=True)])
    np.testing.assert_allclose(logits, pairs, atol=1e-4)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def small(**changes):
    weights = random_weights(5, layers=1, cross_layers=1)
    return weights | changes


def test_refuses_what_is_not_weights(tmp_path, capsys):
    file = tmp_path / "evil.pth.tar"
    torch.save({"epoch": 0, "config": Evil(), "state_dict": small()}, file)
    with pytest.raises(ValueError, match=r"evil.pth.tar: refused: it holds a .*print"):
        convert_reference(file, tmp_path / "out")
    file.write_bytes(pickle.dumps({"state_dict": Evil()}))
    with pytest.raises(ValueError, match=r"evil\.pth\.tar"):
        convert_reference(file, tmp_path / "out")
    assert "executed" not in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a checkpoint of the reference code"),
        (b"not a checkpoint at all", "not a checkpoint of the reference code"),
    ],
)
def test_refuses_foreign_files(tmp_path, content, message):
    file = tmp_path / "x.pth.tar"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        convert_reference(file, tmp_path / "out")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({k: v for k, v in small().items() if "cls.layer_2.bias" not in k}, "cls.layer_2.bias is missing"),
        (small(**{"extra.weight": torch.zeros(1)}), "1 weights have no place in the model, the first is extra.weight"),
        (small(**{"cls.layer_1.bias": torch.full((64,), torch.nan)}), "not finite"),
        (small(**{"cls.layer_1.bias": torch.zeros(3)}), r"has shape \(3,\), expected \(64,\)"),
        (small(**{"opEmb.w2e.weight": torch.zeros(6, 64)}), "6 operations"),
        ({"fc.weight": torch.zeros(2, 2)}, "opEmb.w2e.weight"),
    ],
    ids=["missing", "extra", "nan", "shape", "vocabulary", "foreign"],
)
def test_refuses_wrong_weights(tmp_path, weights, message):
    file = tmp_path / "x.pth.tar"
    torch.save({"epoch": 0, "config": argparse.Namespace(), "state_dict": weights}, file)
    with pytest.raises(ValueError, match=message):
        convert_reference(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
