"""An architecture search whose evaluations are real: each architecture's network is built and trained on images.

    python examples/search_digits.py --output digits-search [--minutes 5] [--queries 60]

The images are scikit-learn's 1,797 handwritten digits of 8 × 8 pixels: 60 % to train on, 20 % whose accuracy guides the
search, 20 % for the network that is found. Interrupt it at any moment, also by kill -9, and give the same command
again: it goes on where it was, and no network is trained twice but the one that was being trained. Any space whose
`build` gives an image classifier will do, as will any algorithm and encoding.
"""

import argparse
import sys
import time

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from cate_hf import Architecture, get_space
from cate_hf.core._console import any_console
from cate_hf.core._progress import progress_bar
from cate_hf.encodings import get_encoding
from cate_hf.search import Journal, algorithm_names, get_algorithm
from cate_hf.search.runner import run
from cate_hf.spaces import Space

BATCH = 64
LEARNING_RATE = 1e-2
TRAINING = ("epochs", "channels", "cells", "images")  # options that a value depends on: a folder has one of each


def digits(images: int | None) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Images (n, 3, 8, 8), three times the same channel, and labels (n,), by part."""
    data, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(data))[:images]
    x = torch.tensor(data[order] / 8 - 1, dtype=torch.float32).reshape(-1, 1, 8, 8).expand(-1, 3, -1, -1).contiguous()
    y = torch.tensor(labels[order])
    first, second = int(0.6 * len(x)), int(0.8 * len(x))
    parts = {"train": slice(first), "validation": slice(first, second), "test": slice(second, None)}
    return {name: (x[rows], y[rows]) for name, rows in parts.items()}


def accuracy(network: torch.nn.Module, part: tuple[torch.Tensor, torch.Tensor]) -> float:
    network.eval()
    with torch.inference_mode():
        return float((network(part[0]).argmax(1) == part[1]).float().mean())


def train(space: Space, architecture: Architecture, data: dict, options: argparse.Namespace) -> torch.nn.Module:
    """A network of the architecture, trained. The same call gives the same network."""
    torch.manual_seed(options.seed)
    network = space.build(architecture, channels=options.channels, cells=options.cells, classes=10)
    x, y = data["train"]
    steps = options.epochs * -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1)
    network.train()
    for _ in range(options.epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return network


def search(options: argparse.Namespace) -> None:
    space = get_space(options.space)
    candidates = space.pool(progress=True)
    algorithm = get_algorithm(options.algorithm)
    encodings = None
    if algorithm.needs_encodings:
        encodings = get_encoding(options.encoding, space).transform(candidates)
    data = digits(options.images)
    torch.set_num_threads(1)  # networks so small are ten times faster so
    optimizer = algorithm(space, candidates, options.seed, encodings)
    Journal(optimizer, options.output, about={name: getattr(options, name) for name in TRAINING})
    found = len(optimizer.rows)
    if found:
        print(f"going on: {found} networks were trained before")

    def evaluate(architecture: Architecture) -> float:
        return accuracy(train(space, architecture, data, options), data["validation"])

    end = time.monotonic() + 60 * options.minutes
    with progress_bar("training", max(options.queries - found, 0), "networks") as advance:
        run(
            optimizer,
            evaluate,
            options.queries,
            failures=(RuntimeError,),  # such as memory that does not suffice
            on_result=lambda architecture, value: advance(1),
            stop=lambda: time.monotonic() > end,
        )
    if np.isnan(optimizer.values).all():
        print("no network could be trained")
        return
    best = int(np.nanargmax(optimizer.values))
    architecture = candidates[optimizer.rows[best]]
    test = accuracy(train(space, architecture, data, options), data["test"])
    print(f"{len(optimizer.rows)} networks; the best, number {best + 1}: {space.native(architecture) or architecture}")
    print(f"validation accuracy {optimizer.values[best]:.3f}, test accuracy {test:.3f}")


def main() -> int:
    any_console()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="folder of the search's journal")
    parser.add_argument("--space", default="nasbench201")
    parser.add_argument("--algorithm", default="cate-dngo-ls", help=", ".join(algorithm_names()))
    parser.add_argument("--encoding", default="cate", help="where the algorithm needs one")
    parser.add_argument("--queries", type=int, default=60, help="networks to train, those of earlier runs included")
    parser.add_argument("--minutes", type=float, default=5, help="no training starts later than this")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--cells", type=int, default=1, help="in each stage of a network")
    parser.add_argument("--images", type=int, help="use only so many, to try it out")
    parser.add_argument("--seed", type=int, default=0)
    try:
        search(parser.parse_args())
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
