"""Batches of masked pairs, made from arrays that stay in memory: nothing is collated cell by cell.

Every batch is a function of (seed, step) alone, so any number of processes draw the same global batch and each takes
its share, and a resumed run continues bit by bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cate_hf.graphs.table import pack_edges, unpack_edges

MASK_PROBABILITY = 0.2  # of a node to be predicted; of those 80 % become [MASK] and 20 % a random operation
MASK_TOKEN_SHARE = 0.8
IGNORED_LABEL = -100
DENSE_BYTES = 1 << 28  # of adjacency matrices that are kept as they are
_TOKENISED = 1 << 16  # architectures at a time
_STRETCH = 64  # batches that are sorted by length together


class PackedAdjacency:
    """Adjacency matrices (N, L, L) as bits of edges: `packed[rows]` gives those of some rows, (n, L, L) uint8.

    Args:
        edge_bits: (N, ceil(L(L-1)/2 / 8)) uint8, as `cate_hf.graphs.table.pack_edges` makes them.
        length: L.
    """

    def __init__(self, edge_bits: np.ndarray, length: int):
        self.edge_bits = edge_bits
        self.shape = (len(edge_bits), length, length)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return unpack_edges(self.edge_bits[rows], self.shape[1])


@dataclass(frozen=True)
class TokenArrays:
    """A table of architectures as the tokenizer gives it: (N, L), (N, L) and (N, L, L), the last packed where it is
    large."""

    input_ids: np.ndarray
    attention_mask: np.ndarray
    adjacency: np.ndarray | PackedAdjacency

    @classmethod
    def from_table(cls, tokenizer, table, dense_bytes: int = DENSE_BYTES) -> "TokenArrays":
        """Args: dense_bytes: adjacency matrices that take more are kept packed."""
        length = tokenizer.pad_to or int(table.num_nodes.max(initial=0))
        packed = len(table) * length * length > dense_bytes
        ids, masks, adjacency = [], [], []
        for start in range(0, max(len(table), 1), _TOKENISED):
            # To one length, whatever the longest of some rows is.
            batch = tokenizer(
                table[start : start + _TOKENISED], padding="max_length", max_length=length, return_tensors="np"
            )
            ids.append(batch["input_ids"].astype(np.uint8))
            masks.append(batch["attention_mask"].astype(np.uint8))
            matrices = batch["adjacency"].astype(np.uint8)
            adjacency.append(pack_edges(matrices) if packed else matrices)
        edges = np.concatenate(adjacency)
        return cls(np.concatenate(ids), np.concatenate(masks), PackedAdjacency(edges, length) if packed else edges)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(N,) nodes."""
        return self.attention_mask.sum(axis=1, dtype=np.int64)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What it holds."""
        edges = self.adjacency.edge_bits if isinstance(self.adjacency, PackedAdjacency) else self.adjacency
        return self.input_ids, self.attention_mask, edges


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
    batch: dict[str, np.ndarray] = {}
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
    tokens: TokenArrays,
    pairs: np.ndarray,
    ranges: IdRange,
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    length_multiple: int = 0,
) -> Iterator[dict[str, np.ndarray]]:
    """The global batches of steps start .. stop - 1, each epoch in its own random order.

    Args:
        length_multiple: 0 gives all batches one shape. Else pairs of about one length come together, and a batch has as
            many positions as its longest architecture, rounded up to a multiple of this.
    """
    per_epoch = steps_in_epoch(len(pairs), batch_size)
    epoch, order = -1, np.empty(0, np.int64)
    for step in range(start, stop):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            order = np.random.default_rng([seed, 0, epoch]).permutation(len(pairs))
            if length_multiple:
                order = _by_length(order, tokens.lengths[pairs].max(axis=1), batch_size, [seed, 7, epoch])
        rows = order[(step % per_epoch) * batch_size :][:batch_size]
        batch = pair_batch(tokens, pairs[rows], ranges, np.random.default_rng([seed, 1, step]))
        yield cut(batch, length_multiple) if length_multiple else batch


def _by_length(order: np.ndarray, lengths: np.ndarray, batch_size: int, seed: list[int]) -> np.ndarray:
    """An order of pairs whose batches have pairs of about one length: sorted within stretches of many batches, whose
    batches are then shuffled."""
    rng, stretch = np.random.default_rng(seed), batch_size * _STRETCH
    whole = len(order) // batch_size * batch_size
    parts = []
    for start in range(0, whole, stretch):
        part = order[start : min(start + stretch, whole)]
        part = part[np.argsort(lengths[part], kind="stable")].reshape(-1, batch_size)
        parts.append(part[rng.permutation(len(part))].ravel())
    return np.concatenate([*parts, order[whole:]])


def cut(batch: dict[str, np.ndarray], multiple: int) -> dict[str, np.ndarray]:
    """A batch without the positions that none of its architectures has, but for those up to a multiple. Arrays (B, L)
    and (B, L, L) are cut, by the longest of the keys ...attention_mask; others stay."""
    masks = [values for name, values in batch.items() if name.endswith("attention_mask")]
    full = masks[0].shape[1]
    longest = max(int(np.flatnonzero(mask.any(axis=0)).max(initial=0)) + 1 for mask in masks)
    size = min(longest + -longest % multiple, full)
    return {
        name: np.ascontiguousarray(values[(slice(None), *[slice(size)] * (values.ndim - 1))])
        if values.shape[1:] == (full,) * (values.ndim - 1)
        else values
        for name, values in batch.items()
    }
