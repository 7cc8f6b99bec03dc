"""Operations added to a trained checkpoint: what it knew it still knows, to rounding."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from cate_hf import (
    Architecture,
    CateForPreTraining,
    CateForSequenceClassification,
    CateModel,
    CateTokenizer,
    add_operations,
    load_encoder,
)
from cate_hf.hub.load import load_model
from cate_hf.hub.save import save_checkpoint
from cate_hf.spaces.custom.custom_space import CustomSpace
from tests.tiny import SIZES, tiny_model

SPACE = """
name: grown-cell
operations: {conv3x3: {parameters: 36864}, pool: {parameters: 0}}
nodes: [2, 7]
"""
LARGER = """
name: grown-cell
operations: {conv3x3: {parameters: 36864}, conv5x5: {parameters: 102400}, pool: {parameters: 0}, skip: {parameters: 0}}
nodes: [2, 7]
"""
EXTRAS = {
    "plain": {},
    "wiring and statistics": {"statistics": ["one", "two"], "learnt_in_encoding": True, "wiring_dim": 24},
    "tied": {"tie_word_embeddings": True},
}


def save(folder, model_class=CateForPreTraining, **config):
    space = CustomSpace.from_definition(SPACE)
    model = tiny_model(space, model_class, **config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    tokenizer = CateTokenizer.from_config(model.config)
    return save_checkpoint(folder, model, tokenizer, {"space": space.name}, space_definition=SPACE)


@pytest.fixture
def larger(tmp_path):
    path = tmp_path / "larger.yaml"
    path.write_text(LARGER)
    return path


def replaced(cell, names):
    return Architecture([names.get(name, name) for name in cell.operations], cell.adjacency)


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("model_class", [CateModel, CateForPreTraining, CateForSequenceClassification])
def test_old_architectures_keep_their_encodings_and_new_ones_start_alike(tmp_path, larger, model_class, extra):
    if extra == "tied" and model_class is not CateForPreTraining:
        pytest.skip("only the pair model ties")
    members = {"num_members": 2} if model_class is CateForSequenceClassification else {}
    folder = save(tmp_path / "old", model_class, **(EXTRAS[extra] | members))
    grown = add_operations(folder, larger, tmp_path / "new", like={"conv5x5": "conv3x3"})
    before, after = load_encoder(folder), load_encoder(grown)
    assert after.tokenizer.operations == ["input", "conv3x3", "conv5x5", "pool", "skip", "output"]
    assert after.search_space.definition() == CustomSpace.from_definition(LARGER).definition()
    cells = CustomSpace.from_definition(SPACE).sample(50, seed=0)
    expected = before.encode(cells)
    np.testing.assert_allclose(after.encode(cells), expected, atol=1e-5)
    as_new = [replaced(cell, {"conv3x3": "conv5x5"}) for cell in cells]
    np.testing.assert_allclose(after.encode(as_new), expected, atol=1e-5)
    other = after.encode([replaced(cell, {"conv3x3": "skip"}) for cell in cells])
    assert np.isfinite(other).all()
    assert np.abs(other - expected).max() > 1e-3  # "skip" is the mean of convolution and pooling
    model, old = load_model(grown, model_class), load_model(folder, model_class)
    batches = [encoder.tokenizer(cells, return_tensors="pt") for encoder in (before, after)]
    with torch.no_grad():
        if model_class is CateForSequenceClassification:
            torch.testing.assert_close(model.eval()(**batches[1]).logits, old.eval()(**batches[0]).logits)
        elif model_class is CateForPreTraining:
            states = torch.randn(2, 3, SIZES["hidden_size"])
            scores, known = (m.eval().head(states) for m in (model, old))
            torch.testing.assert_close(scores[..., [0, 1, 2, 3, 5, 7]], known)  # the old ids among the new ones
            torch.testing.assert_close(scores[..., 4], known[..., 3])
            torch.testing.assert_close(scores[..., 6], (known[..., 3] + known[..., 4]) / 2)
    assert AutoModel.from_pretrained(grown).config.vocab_size == len(AutoTokenizer.from_pretrained(grown)) == 8


def test_a_space_of_more_nodes(tmp_path):
    folder = save(tmp_path / "old")
    wide = CustomSpace.from_definition(LARGER.replace("[2, 7]", "[2, 12]"))
    after = load_encoder(add_operations(folder, wide, tmp_path / "new"))
    cells = CustomSpace.from_definition(SPACE).sample(50, seed=0)
    np.testing.assert_allclose(after.encode(cells), load_encoder(folder).encode(cells), atol=1e-5)
    long = next(cell for cell in wide.sample(100, seed=0) if cell.num_nodes == 12)
    assert np.isfinite(after.encode(long)).all()


def test_a_bundled_checkpoint_for_a_space_of_ones_own(tmp_path):
    operations = "[conv1x1-bn-relu, conv3x3-bn-relu, maxpool3x3, conv5x5-bn-relu]"
    space = CustomSpace.from_definition(f"name: wider\noperations: {operations}\nnodes: [2, 7]\nedges: [1, 9]\n")
    folder = add_operations("nasbench101", space, tmp_path / "new", like={"conv5x5-bn-relu": "conv3x3-bn-relu"})
    before, after = load_encoder("nasbench101"), load_encoder(folder)
    cells = before.search_space.sample(100, seed=0)
    np.testing.assert_allclose(after.encode(cells), before.encode(cells), atol=1e-4)
    assert after.space == "wider"


def test_what_is_refused(tmp_path, larger):
    folder = save(tmp_path / "old")
    fewer = CustomSpace.from_definition(SPACE.replace("pool:", "pooling:"))
    with pytest.raises(ValueError, match="space grown-cell lacks 'pool', an operation of"):
        add_operations(folder, fewer, tmp_path / "new")
    with pytest.raises(ValueError, match="has no operation that .* does not know"):
        add_operations(folder, CustomSpace.from_definition(SPACE), tmp_path / "new")
    with pytest.raises(ValueError, match="unknown operation 'conv3x4'; did you mean 'conv3x3'"):
        add_operations(folder, larger, tmp_path / "new", like={"conv5x5": "conv3x4"})
    with pytest.raises(ValueError, match="unknown new operation 'conv5x6'; did you mean 'conv5x5'"):
        add_operations(folder, larger, tmp_path / "new", like={"conv5x6": "conv3x3"})
    assert not (tmp_path / "new").exists()


def test_tokens_added_by_transformers_lead_there(tmp_path):
    folder = save(tmp_path / "old")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    tokenizer.add_tokens(["conv5x5"])
    model.resize_token_embeddings(len(tokenizer))
    for part in (tokenizer, model):
        part.save_pretrained(tmp_path / "resized")
    with pytest.raises(ValueError, match="add_operations adds operations to a checkpoint"):
        load_encoder(tmp_path / "resized")
