"""Batches of masked pairs, made from arrays that stay in memory: nothing is collated cell by cell.

Every batch is a function of (seed, step) alone, so any number of processes draw the same global batch and each takes
its share, and a resumed run continues bit by bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MASK_PROBABILITY = 0.2  # of a node to be predicted; of those 80 % become [MASK] and 20 % a random operation
MASK_TOKEN_SHARE = 0.8
IGNORED_LABEL = -100


@dataclass(frozen=True)
class TokenArrays:
    """A table of architectures as the tokenizer gives it: (N, L), (N, L) and (N, L, L)."""

    input_ids: np.ndarray
    attention_mask: np.ndarray
    adjacency: np.ndarray

    @classmethod
    def from_table(cls, tokenizer, table) -> "TokenArrays":
        batch = tokenizer(table, return_tensors="np")
        return cls(
            batch["input_ids"].astype(np.uint8),
            batch["attention_mask"].astype(np.uint8),
            batch["adjacency"].astype(np.uint8),
        )


@dataclass(frozen=True)
class IdRange:
    """Which ids masking draws from: operations are first_operation .. vocab_size - 1."""

    first_operation: int
    vocab_size: int
    mask_token_id: int
    pad_token_id: int


def mask_operations(
    ids: np.ndarray, real: np.ndarray, ranges: IdRange, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mask operations (method of Yan et al., section 3.3): each real node with probability 0.2.

    Args:
        ids: (B, L) operation ids.
        real: (B, L) true on nodes, false on padding, which is never masked.

    Returns:
        the corrupted ids (B, L), and labels (B, L): the original id of each masked node, -100 elsewhere.
    """
    draws = rng.random((2, *ids.shape), dtype=np.float32)
    # Where PAD aliases an operation (the paper's ids), that operation cannot be a target.
    masked = (draws[0] < MASK_PROBABILITY) & real & (ids != ranges.pad_token_id)
    random_ids = rng.integers(ranges.first_operation, ranges.vocab_size, ids.shape, dtype=np.int64)
    replacement = np.where(draws[1] < MASK_TOKEN_SHARE, ranges.mask_token_id, random_ids)
    return np.where(masked, replacement, ids), np.where(masked, ids, IGNORED_LABEL)


def pair_batch(
    tokens: TokenArrays, pairs: np.ndarray, ranges: IdRange, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The model's inputs for pairs (B, 2) of rows: everything (B, L) or (B, L, L), X's and Y's."""
    batch = {}
    for prefix, rows in (("", pairs[:, 0]), ("pair_", pairs[:, 1])):
        ids, real = tokens.input_ids[rows].astype(np.int64), tokens.attention_mask[rows]
        corrupted, labels = mask_operations(ids, real.astype(bool), ranges, rng)
        batch |= {
            f"{prefix}input_ids": corrupted,
            f"{prefix}attention_mask": real,
            f"{prefix}adjacency": tokens.adjacency[rows],
            f"{prefix}labels": labels,
        }
    return batch


def steps_in_epoch(pairs: int, batch_size: int) -> int:
    """Whole batches only: the remainder is other pairs in each epoch's order."""
    return pairs // batch_size


def training_batches(
    tokens: TokenArrays, pairs: np.ndarray, ranges: IdRange, batch_size: int, seed: int, start: int, stop: int
) -> Iterator[dict[str, np.ndarray]]:
    """The global batches of steps start .. stop - 1, each epoch in its own random order."""
    per_epoch = steps_in_epoch(len(pairs), batch_size)
    epoch, order = -1, None
    for step in range(start, stop):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            order = np.random.default_rng([seed, 0, epoch]).permutation(len(pairs))
        rows = order[(step % per_epoch) * batch_size :][:batch_size]
        yield pair_batch(tokens, pairs[rows], ranges, np.random.default_rng([seed, 1, step]))
