"""Pre-training speed at the paper's sizes (12 + 24 layers of 64, dropout 0.1, batch 1024, 7 + 7 positions), beside a
plain float32 PyTorch loop of the same model that collates Python lists. Prints one ratio; both sides run in turn.

    python bench/pretrain_speed.py [--steps 6] [--batch-size 1024]
"""

import argparse
import time

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from cate_hf.data.batches import IdRange, TokenArrays, training_batches
from cate_hf.data.pairs import build_pairs
from cate_hf.kernels import use_kernels
from cate_hf.spaces import get_space
from cate_hf.tokenization import CateTokenizer
from cate_hf.training.command import resolve_mixed_precision
from cate_hf.training.settings import PretrainSettings
from cate_hf.training.setup import parameter_groups, pretraining_config


class PlainEncoder(nn.Module):
    def __init__(self, layers: int, feed_forward: int):
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 8, feed_forward, 0.1, norm_first=True, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(64), enable_nested_tensor=False)

    def forward(self, states, mask):
        return self.layers(states, mask)


class PlainModel(nn.Module):
    """The paper's model out of torch's own layers."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.embedding, self.segment = nn.Embedding(vocabulary, 64), nn.Embedding(2, 64)
        self.encoder, self.cross = PlainEncoder(12, 128), PlainEncoder(24, 256)
        self.head = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Dropout(0.1), nn.Linear(64, vocabulary))

    def forward(self, x, mask_x, y, mask_y):
        states = [self.encoder(self.embedding(i) * 8.0, m) for i, m in ((x, mask_x), (y, mask_y))]
        segments = self.segment(torch.tensor([0] * x.shape[1] + [1] * y.shape[1])) * 8.0
        return self.head(self.cross(torch.cat(states, 1) + segments, None)).log_softmax(-1)


def plain_collate(cells: list[tuple[list[int], list[list[int]]]], rng: np.random.Generator):
    """Masking, padding and Floyd-Warshall cell by cell."""
    ids, masks, labels = [], [], []
    for operations, adjacency in cells:
        reach = np.zeros((7, 7), bool)
        reach[: len(operations), : len(operations)] = adjacency
        for k in range(7):
            reach |= np.outer(reach[:, k], reach[k])
        row, label = list(operations) + [0] * (7 - len(operations)), [-100] * 7
        for node in range(len(operations)):
            if rng.random() < 0.2:
                label[node] = row[node]
                row[node] = 1 if rng.random() < 0.8 else int(rng.integers(5))
        hidden = np.where(reach, 0.0, -1e9)
        ids.append(row), masks.append(hidden), labels.append(label)
    mask = torch.tensor(np.array(masks), dtype=torch.float32).repeat_interleave(8, 0)
    return torch.tensor(ids), mask, torch.tensor(labels)


def plain_step(model, optimizer, pairs, cells, rng):
    x, mask_x, labels_x = plain_collate([cells[i] for i in pairs[:, 0]], rng)
    y, mask_y, labels_y = plain_collate([cells[i] for i in pairs[:, 1]], rng)
    log_probabilities = model(x, mask_x, y, mask_y)
    labels = torch.cat([labels_x, labels_y], 1).flatten()
    loss = nn.functional.cross_entropy(log_probabilities.flatten(0, 1), labels, label_smoothing=0.1)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=1024)
    options = parser.parse_args()
    precision = resolve_mixed_precision("auto", cpu=True)
    accelerator = Accelerator(cpu=True, mixed_precision=precision)
    settings = PretrainSettings(preset="paper", batch_size=options.batch_size)
    config = pretraining_config(settings, get_space(settings.space), None)
    table, splits, _ = build_pairs("nasbench101")
    tokens = TokenArrays.from_table(CateTokenizer.from_config(config), table)
    ranges = IdRange(config.num_special_ids, config.vocab_size, config.mask_token_id, config.pad_token_id)

    from cate_hf.modeling import CateForPreTraining

    ours = CateForPreTraining._from_config(config).train()
    use_kernels(ours)
    optimizer = torch.optim.AdamW(parameter_groups(ours, 0.01), lr=1e-3, fused=True)
    ours, optimizer = accelerator.prepare(ours, optimizer)

    def our_steps(start: int, stop: int) -> None:
        for batch in training_batches(tokens, splits["train"], ranges, options.batch_size, 0, start, stop):
            loss = ours(**{k: torch.from_numpy(v) for k, v in batch.items()}).loss
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()

    plain = PlainModel(len(get_space("nasbench101").vocabulary)).train()
    plain_optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    some = splits["train"][rng.integers(0, len(splits["train"]), options.batch_size)]
    rows = np.unique(some)
    cells = {}
    for row, size in zip(rows, tokens.attention_mask[rows].sum(1), strict=True):
        cells[row] = (tokens.input_ids[row, :size].tolist(), tokens.adjacency[row, :size, :size].tolist())

    our_steps(0, 1)
    plain_step(plain, plain_optimizer, some, cells, rng)
    seconds = np.zeros((options.steps, 2))
    for step in range(options.steps):  # in turn, so that a busy machine slows both
        clock = time.perf_counter()
        our_steps(step + 1, step + 2)
        seconds[step, 0] = time.perf_counter() - clock
        clock = time.perf_counter()
        plain_step(plain, plain_optimizer, some, cells, rng)
        seconds[step, 1] = time.perf_counter() - clock
    ours_speed, plain_speed = options.batch_size / np.median(seconds, axis=0)
    print(f"cate_hf ({precision}): {ours_speed:,.0f} pairs/s; plain float32 loop: {plain_speed:,.0f} pairs/s")
    print(f"ratio: {ours_speed / plain_speed:.2f}")


if __name__ == "__main__":
    main()
