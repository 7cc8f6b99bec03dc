"""Pre-training speed at the paper's sizes (12 + 24 layers of 64, dropout 0.1, batch 1024), beside a plain float32
PyTorch loop of the same model that collates Python lists. Prints one ratio; the sides run in turn, step by step.

    python bench/pretrain_speed.py [--steps 6] [--batch-size 1024] [--nodes 7] [--with-default] [--stages] [--profile]

Pairs are of NAS-Bench-101, 7 + 7 positions; other numbers of nodes are random graphs, such as 15 + 15 with --nodes 15.
"""

import argparse
import copy
import time

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from cate_hf.data.pairs import build_pairs
from cate_hf.kernels import short_attention, use_kernels
from cate_hf.modeling import CateForPreTraining
from cate_hf.spaces import get_space
from cate_hf.tokenization import CateTokenizer
from cate_hf.training._batches import IdRange, TokenArrays, training_batches
from cate_hf.training._setup import parameter_groups, pretraining_config
from cate_hf.training.pretrain import resolve_mixed_precision
from cate_hf.training.settings import PretrainSettings


class PlainEncoder(nn.Module):
    def __init__(self, layers: int, feed_forward: int):
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 8, feed_forward, 0.1, norm_first=True, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(64), enable_nested_tensor=False)

    def forward(self, states, mask):
        return self.layers(states, mask)


class PlainModel(nn.Module):
    """The paper's model out of torch's own layers."""

    def __init__(self, vocabulary: int, nodes: int = 7):
        super().__init__()
        self.nodes = nodes
        self.embedding, self.segment = nn.Embedding(vocabulary, 64), nn.Embedding(2, 64)
        self.encoder, self.cross = PlainEncoder(12, 128), PlainEncoder(24, 256)
        self.head = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Dropout(0.1), nn.Linear(64, vocabulary))

    def forward(self, x, mask_x, y, mask_y):
        states = [self.encoder(self.embedding(i) * 8.0, m) for i, m in ((x, mask_x), (y, mask_y))]
        segments = self.segment(torch.tensor([0] * x.shape[1] + [1] * y.shape[1])) * 8.0
        return self.head(self.cross(torch.cat(states, 1) + segments, None)).log_softmax(-1)


def plain_collate(cells: list[tuple[list[int], list[list[int]]]], nodes: int, rng: np.random.Generator):
    """Masking, padding and Floyd-Warshall cell by cell."""
    ids, masks, labels = [], [], []
    for operations, adjacency in cells:
        reach = np.zeros((nodes, nodes), bool)
        reach[: len(operations), : len(operations)] = adjacency
        for k in range(nodes):
            reach |= np.outer(reach[:, k], reach[k])
        row, label = list(operations) + [0] * (nodes - len(operations)), [-100] * nodes
        for node in range(len(operations)):
            if rng.random() < 0.2:
                label[node] = row[node]
                row[node] = 1 if rng.random() < 0.8 else int(rng.integers(5))
        hidden = np.where(reach, 0.0, -1e9)
        ids.append(row), masks.append(hidden), labels.append(label)
    mask = torch.tensor(np.array(masks), dtype=torch.float32).repeat_interleave(8, 0)
    return torch.tensor(ids), mask, torch.tensor(labels)


def plain_step(model, optimizer, pairs, cells, rng):
    x, mask_x, labels_x = plain_collate([cells[i] for i in pairs[:, 0]], model.nodes, rng)
    y, mask_y, labels_y = plain_collate([cells[i] for i in pairs[:, 1]], model.nodes, rng)
    log_probabilities = model(x, mask_x, y, mask_y)
    labels = torch.cat([labels_x, labels_y], 1).flatten()
    loss = nn.functional.cross_entropy(log_probabilities.flatten(0, 1), labels, label_smoothing=0.1)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def of_nasbench101(preset: str):
    """The configuration, tokens, and training pairs of a preset."""
    settings = PretrainSettings(preset=preset, statistics_weight=0.0)
    config = pretraining_config(settings, get_space("nasbench101"), None)
    table, splits, _ = build_pairs("nasbench101")
    return config, TokenArrays.from_table(CateTokenizer.from_config(config), table), splits["train"]


def of_random_graphs(preset: str, nodes: int, count: int = 8192):
    """The same for random graphs of so many nodes, with the operations of NAS-Bench-101."""
    config, *_ = of_nasbench101(preset)
    config.max_nodes = nodes
    rng = np.random.default_rng(0)
    adjacency = np.triu(rng.random((count, nodes, nodes)) < 2 / nodes, 1).astype(np.uint8)
    adjacency[:, np.arange(nodes - 1), np.arange(1, nodes)] = 1
    ids = rng.integers(config.num_special_ids, config.vocab_size, (count, nodes)).astype(np.uint8)
    tokens = TokenArrays(ids, np.ones((count, nodes), np.uint8), adjacency)
    return config, tokens, rng.integers(0, count, (8 * count, 2))


class Ours:
    """Pre-training as `cate_hf.training.pretrain` does it, but for logs and states."""

    def __init__(self, config, tokens: TokenArrays, pairs: np.ndarray, batch_size: int, precision: str, kernels="all"):
        self.data, self.batch_size, self.step = (tokens, pairs), batch_size, 0
        self.accelerator = Accelerator(cpu=True, mixed_precision=precision)
        self.ranges = IdRange(config.num_special_ids, config.vocab_size, config.mask_token_id, config.pad_token_id)
        model = CateForPreTraining._from_config(copy.deepcopy(config), attn_implementation="eager").train()
        if kernels == "all":
            use_kernels(model)
        elif kernels == "attention":
            model.set_attn_implementation(short_attention())
        optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=1e-3, fused=True)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)

    def __call__(self) -> None:
        tokens, pairs = self.data
        for batch in training_batches(tokens, pairs, self.ranges, self.batch_size, 0, self.step, self.step + 1):
            loss = self.model(**{k: torch.from_numpy(v) for k, v in batch.items()}).loss
            self.accelerator.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.step += 1


class Plain:
    """The plain loop, which takes the same pairs at every step."""

    def __init__(self, config, tokens: TokenArrays, pairs: np.ndarray, batch_size: int):
        self.rng = np.random.default_rng(0)
        self.pairs = pairs[self.rng.integers(0, len(pairs), batch_size)]
        self.model = PlainModel(config.vocab_size, tokens.input_ids.shape[1]).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        rows = np.unique(self.pairs)
        self.cells = {
            row: (tokens.input_ids[row, :size].tolist(), tokens.adjacency[row, :size, :size].tolist())
            for row, size in zip(rows, tokens.attention_mask[rows].sum(1), strict=True)
        }

    def __call__(self) -> None:
        plain_step(self.model, self.optimizer, self.pairs, self.cells, self.rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--nodes", type=int, default=7)
    parser.add_argument("--with-default", action="store_true", help="the default design, too")
    parser.add_argument("--stages", action="store_true", help="the paper's model with fewer kernels and none, too")
    parser.add_argument("--precision", choices=("auto", "no", "bf16"), default="auto")
    parser.add_argument("--profile", action="store_true", help="of one of our steps")
    options = parser.parse_args()
    precision = resolve_mixed_precision(options.precision, cpu=True)

    def data(preset: str):
        return of_nasbench101(preset) if options.nodes == 7 else of_random_graphs(preset, options.nodes)

    paper = data("paper")
    sides = {
        f"cate_hf ({precision})": Ours(*paper, options.batch_size, precision),
        "plain float32 loop": Plain(*paper, options.batch_size),
    }
    if options.with_default:
        sides["cate_hf, default design"] = Ours(*data("default"), options.batch_size, precision)
    if options.stages:
        sides["cate_hf, attention alone by kernels"] = Ours(*paper, options.batch_size, precision, "attention")
        sides["cate_hf without kernels"] = Ours(*paper, options.batch_size, precision, "none")
    wall, busy = np.zeros((2, options.steps + 1, len(sides)))
    for step in range(options.steps + 1):  # in turn, so that a busy machine slows all; the first is to warm up
        for side, run in enumerate(sides.values()):
            clock, cpu = time.perf_counter(), time.process_time()
            run()
            wall[step, side], busy[step, side] = time.perf_counter() - clock, time.process_time() - cpu
    speeds, by_cpu = (options.batch_size / np.median(seconds[1:], axis=0) for seconds in (wall, busy))
    for name, speed, per_second in zip(sides, speeds, by_cpu, strict=True):
        print(f"{name}: {speed:,.0f} pairs/s, {per_second:,.0f} a second of processor time")
    print(f"ratio: {speeds[0] / speeds[1]:.2f}, by processor time {by_cpu[0] / by_cpu[1]:.2f}")
    if options.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            next(iter(sides.values()))()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=40))


if __name__ == "__main__":
    main()
