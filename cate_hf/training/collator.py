"""Masked pairs for transformers' `Trainer`, out of the rows of a data set."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.training._batches import IdRange, mask_operations

if TYPE_CHECKING:
    import torch

__all__ = ["PairCollator"]


class PairCollator:
    """Rows of `load_pairs(space, architectures=True)` to the inputs of `CateForPreTraining`, a fifth of their nodes
    masked. The random numbers follow torch's generator, so that `set_seed` repeats them.

    Args:
        tokenizer: the `CateTokenizer` of the model.
    """

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        first = 0 if tokenizer.alias_special_ids else 2
        self._ranges = IdRange(first, len(tokenizer), tokenizer.mask_token_id, tokenizer.pad_token_id)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> "dict[str, torch.Tensor]":
        """(B, L) and (B, L, L) tensors of X and, with the prefix `pair_`, of Y; L is the most nodes of any of them."""
        import torch

        names = self.tokenizer.operations
        graphs = [
            {
                "operations": [n if isinstance(n, str) else names[n] for n in row[f"{prefix}operations"]],
                "adjacency": row[f"{prefix}adjacency"],
            }
            for prefix in ("", "pair_")
            for row in rows
        ]
        both = self.tokenizer(graphs, return_tensors="np")
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        real = both["attention_mask"].astype(bool)
        both["input_ids"], both["labels"] = mask_operations(both["input_ids"], real, self._ranges, rng)
        return {
            f"{prefix}{key}": torch.from_numpy(values[half])
            for prefix, half in (("", slice(None, len(rows))), ("pair_", slice(len(rows), None)))
            for key, values in both.items()
        }
