import numpy as np
import pytest
import torch

from cate_hf import CateConfig, CateForPreTraining, CateTokenizer
from cate_hf.training.collator import PairCollator
from tests.tiny import CELLS, tiny_model


@pytest.mark.parametrize("preset", ["for_space", "paper"])
def test_masked_pairs(preset):
    tokenizer = CateTokenizer.from_config(getattr(CateConfig, preset)("nasbench101"))
    names = list(tokenizer.operations)
    rows = []
    for first, second in [(CELLS[0], CELLS[1]), (CELLS[2], CELLS[0])] * 200:
        one, two = first.to_dict(), second.to_dict()
        rows.append(
            {
                "operations": [names.index(name) for name in one["operations"]],  # as class labels
                "adjacency": one["adjacency"],
                "pair_operations": two["operations"],
                "pair_adjacency": two["adjacency"],
            }
        )
    torch.manual_seed(0)
    collate = PairCollator(tokenizer)
    batch, other = collate(rows), collate(rows)
    torch.manual_seed(0)
    again = collate(rows)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert not torch.equal(batch["labels"], other["labels"])
    for prefix, cells in (("", (CELLS[0], CELLS[2])), ("pair_", (CELLS[1], CELLS[0]))):
        plain = tokenizer([*cells] * 200, padding="max_length", max_length=7, return_tensors="pt")
        assert torch.equal(batch[f"{prefix}adjacency"], plain["adjacency"])
        assert torch.equal(batch[f"{prefix}attention_mask"], plain["attention_mask"])
        masked = batch[f"{prefix}labels"] != -100
        assert torch.equal(batch[f"{prefix}labels"][masked], plain["input_ids"][masked])
        assert torch.equal(batch[f"{prefix}input_ids"][~masked], plain["input_ids"][~masked])
        assert not masked[plain["attention_mask"] == 0].any()
        can = (plain["attention_mask"] == 1) & (plain["input_ids"] != tokenizer.pad_token_id)
        assert float(masked.sum() / can.sum()) == pytest.approx(0.2, abs=0.03)
        hidden = batch[f"{prefix}input_ids"][masked] == tokenizer.mask_token_id
        assert float(hidden.float().mean()) == pytest.approx(0.8 if preset == "for_space" else 0.84, abs=0.06)


def test_the_model_takes_them():
    model = tiny_model(model_class=CateForPreTraining)
    rows = [cell.to_dict() | {f"pair_{k}": v for k, v in cell.to_dict().items()} for cell in CELLS]
    output = model(**PairCollator(CateTokenizer.from_config(model.config))(rows * 5))
    assert np.isfinite(output.loss.item())
    assert output.logits.shape == (15, 7, 7)
