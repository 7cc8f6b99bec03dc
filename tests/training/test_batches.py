import numpy as np

from cate_hf import ArchitectureTable, CateTokenizer
from cate_hf.training._batches import (
    IGNORED_LABEL,
    IdRange,
    PackedAdjacency,
    TokenArrays,
    mask_operations,
    training_batches,
)

RANGES = IdRange(first_operation=2, vocab_size=7, mask_token_id=1, pad_token_id=0)
PAPER = IdRange(first_operation=0, vocab_size=5, mask_token_id=1, pad_token_id=0)


def arrays(rows=4000, ranges=RANGES):
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 8, rows)
    real = np.arange(7) < sizes[:, None]
    ids = np.where(real, rng.integers(ranges.first_operation, ranges.vocab_size, (rows, 7)), ranges.pad_token_id)
    return TokenArrays(ids.astype(np.uint8), real.astype(np.uint8), np.zeros((rows, 7, 7), np.uint8))


def test_masking_rates_and_never_the_padding():
    tokens = arrays(40_000)
    ids, real = tokens.input_ids.astype(int), tokens.attention_mask.astype(bool)
    corrupted, labels = mask_operations(ids, real, RANGES, np.random.default_rng(1))
    masked = labels != IGNORED_LABEL
    assert not masked[~real].any()
    assert np.array_equal(labels[masked], ids[masked])
    assert np.array_equal(corrupted[~masked], ids[~masked])
    assert abs(masked[real].mean() - 0.2) < 0.005
    assert abs((corrupted[masked] == 1).mean() - 0.8) < 0.01
    random_ids = corrupted[masked & (corrupted != 1)]
    assert set(random_ids) == {2, 3, 4, 5, 6}
    shares = np.bincount(random_ids)[2:] / len(random_ids)
    assert np.abs(shares - 0.2).max() < 0.02


def test_with_the_papers_ids_the_input_is_never_a_target():
    tokens = arrays(5000, PAPER)
    _, labels = mask_operations(
        tokens.input_ids.astype(int), tokens.attention_mask.astype(bool), PAPER, np.random.default_rng(0)
    )
    assert set(np.unique(labels)) == {IGNORED_LABEL, 1, 2, 3, 4}


def test_a_batch_depends_on_seed_and_step_alone():
    tokens = arrays()
    pairs = np.random.default_rng(0).integers(0, 4000, (1000, 2))
    whole = list(training_batches(tokens, pairs, RANGES, 64, seed=3, start=0, stop=40))
    again = list(training_batches(tokens, pairs, RANGES, 64, seed=3, start=17, stop=40))
    for first, second in zip(whole[17:], again, strict=True):
        assert all(np.array_equal(first[k], second[k]) for k in first)
    other = next(training_batches(tokens, pairs, RANGES, 64, seed=4, start=0, stop=1))
    assert not np.array_equal(whole[0]["input_ids"], other["input_ids"])


def test_an_epoch_shows_each_pair_once():
    tokens = arrays(100)
    tokens.adjacency[:, 0, 1] = np.arange(100)  # a mark that masking leaves alone
    pairs = np.column_stack([np.arange(96), np.arange(96)[::-1]])
    batches = list(training_batches(tokens, pairs, RANGES, 32, seed=0, start=0, stop=6))
    epochs = [np.concatenate([b["adjacency"][:, 0, 1] for b in batches[i : i + 3]]) for i in (0, 3)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(96))
    assert not np.array_equal(epochs[0], epochs[1])
    assert {b["pair_input_ids"].shape for b in batches} == {(32, 7)}


def long_graphs(rows=300, largest=60):
    """A table of random graphs of very different lengths, and a tokenizer."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, largest + 1, rows)
    used = np.arange(largest) < sizes[:, None]
    codes = np.where(used, rng.integers(1, 4, used.shape), 255).astype(np.uint8)
    adjacency = np.triu(rng.random((rows, largest, largest)) < 0.2, 1) & used[:, :, None] & used[:, None, :]
    vocabulary = ("input", "a", "b", "c", "output")
    table = ArchitectureTable.from_arrays(vocabulary, codes, adjacency)
    return table, CateTokenizer(operations=list(vocabulary), model_max_length=largest)


def test_packed_adjacency_is_the_same():
    table, tokenizer = long_graphs()
    dense, packed = (TokenArrays.from_table(tokenizer, table, dense_bytes=limit) for limit in (1 << 30, 0))
    assert isinstance(packed.adjacency, PackedAdjacency)
    assert packed.adjacency.shape == dense.adjacency.shape
    rows = np.array([5, 299, 0, 5])
    assert np.array_equal(packed.adjacency[rows], dense.adjacency[rows])
    pairs = np.random.default_rng(1).integers(0, 300, (64, 2))
    for first, second in zip(
        training_batches(dense, pairs, RANGES, 16, 0, 0, 4),
        training_batches(packed, pairs, RANGES, 16, 0, 0, 4),
        strict=True,
    ):
        assert all(np.array_equal(first[k], second[k]) for k in first)


def test_batches_of_about_one_length():
    table, tokenizer = long_graphs()
    tokens = TokenArrays.from_table(tokenizer, table)
    pairs = np.column_stack([np.arange(300), np.arange(300)[::-1]])
    batches = list(training_batches(tokens, pairs, RANGES, 10, 0, 0, 60, length_multiple=8))
    lengths = np.array([batch["input_ids"].shape[1] for batch in batches])
    assert set(lengths) <= {8, 16, 24, 32, 40, 48, 56, 60}
    assert not np.array_equal(lengths, np.sort(lengths))  # the lengths of an epoch come in any order
    for batch in batches:
        size = batch["input_ids"].shape[1]
        masks = [batch["attention_mask"], batch["pair_attention_mask"]]
        longest = max(int(mask.sum(1).max()) for mask in masks)
        assert longest <= size < longest + 8
        assert batch["adjacency"].shape == batch["pair_adjacency"].shape == (10, size, size)
        assert batch["labels"].shape == (10, size)
    for epoch in (batches[:30], batches[30:]):  # each pair once
        degrees = np.concatenate([batch["adjacency"].sum((1, 2), dtype=int) for batch in epoch])
        assert sorted(degrees) == sorted(tokens.adjacency.sum((1, 2), dtype=int))
    positions = lengths.sum() / (60 * 60)
    assert positions < 0.85  # of what one shape for all would take
    again = list(training_batches(tokens, pairs, RANGES, 10, 0, 35, 40, length_multiple=8))
    for first, second in zip(batches[35:40], again, strict=True):
        assert all(np.array_equal(first[k], second[k]) for k in first)
