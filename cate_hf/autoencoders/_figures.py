"""What an autoencoder reconstructs, and what it makes of samples of its prior: the figures of the two papers."""

from typing import Any

import numpy as np
import torch

from cate_hf.autoencoders._graphs import GraphBatch, as_architectures
from cate_hf.core._progress import progress_bar
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

_BATCH = 512
_RANGE = 20_000  # training architectures from which the range of latent vectors is taken


def reconstruction(
    model: torch.nn.Module, space: Space, table: ArchitectureTable, device: str, seed: int = 0, sampled: int = 100
) -> dict[str, Any]:
    """How many architectures of a table come back from their latent vectors.

    Where the decoder draws at random, the latent vectors of the first `sampled` are drawn 10 times each and decoded 10
    times (Zhang et al. 2019, section 4.1); the noise is that of training.

    Returns:
        architectures, exact (share decoded as drawn, from the mean latent vector, the most probable choices), and
        isomorphic (share decoded to one of the same hash); elements (mean share of operations and of possible edges
        that are right) and sampled (share exact) where the model has them.
    """
    exact = isomorphic = 0
    elements = []
    generator = torch.Generator(device).manual_seed(seed)
    hashes = table.columns["hash"] if "hash" in table.columns else space.hash_many(table)
    for start in range(0, len(table), _BATCH):
        rows = slice(start, start + _BATCH)
        with torch.inference_mode():
            graphs = GraphBatch.from_table(table[rows], model.shape, device)
            decoded = model.decode(model.latent_mean(graphs))
            exact += int(graphs.same_as(decoded).sum())
            if hasattr(model, "element_accuracy"):
                elements.append(model.element_accuracy(graphs, decoded).cpu().numpy())
        architectures, valid = as_architectures(space, decoded)
        isomorphic += int((architectures.columns["hash"] == hashes[rows][valid]).sum())
    count = max(len(table), 1)
    figures = {"architectures": len(table), "exact": exact / count, "isomorphic": isomorphic / count}
    if elements:
        figures["elements"] = float(np.concatenate(elements).mean())
    elif sampled:
        figures["sampled"] = _sampled(model, table[:sampled], device, generator)
    return figures


def _sampled(model: torch.nn.Module, table: ArchitectureTable, device: str, generator: torch.Generator) -> float:
    with torch.inference_mode():
        graphs = GraphBatch.from_table(table, model.shape, device)
        mean, deviation = model.posterior(graphs)
        right = 0
        for _ in range(10):
            noise = torch.randn(mean.shape, generator=generator, device=device)
            latent = mean + model.config.noise * deviation * noise
            right += sum(int(graphs.same_as(model.decode(latent, generator)).sum()) for _ in range(10))
    return right / (100 * max(len(table), 1))


def prior(
    model: torch.nn.Module,
    space: Space,
    train: ArchitectureTable,
    device: str,
    seed: int = 0,
    points: int = 1000,
    decodings: int = 10,
) -> dict[str, Any]:
    """What decoded samples of the prior are: `points` latent vectors, each decoded `decodings` times.

    The range of the latent vectors of the training is that of `train`. The choices of D-VAE are drawn.

    Returns:
        decodings (how many), and for samples of N(0, I) and, as the authors of both do, for samples moved to mean and
        standard deviation of the training's latent vectors: validity (share of valid ones) and uniqueness (share of
        different ones among these).
    """
    generator = torch.Generator(device).manual_seed(seed)
    with torch.inference_mode():
        parts = [
            model.latent_mean(GraphBatch.from_table(train[start : start + _BATCH], model.shape, device))
            for start in range(0, min(len(train), _RANGE), _BATCH)
        ]
        latent = torch.cat(parts)
        mean, deviation = latent.mean(0), latent.std(0, correction=0)
    result: dict[str, Any] = {"decodings": points * decodings}
    for name, (middle, spread) in {"standard": (0.0, 1.0), "training_range": (mean, deviation)}.items():
        hashes = []
        for start in range(0, points, _BATCH):
            size = (min(_BATCH, points - start), *latent.shape[1:])
            with torch.inference_mode():
                sample = torch.randn(size, generator=generator, device=device) * spread + middle
                decoded = [model.decode(sample, generator) for _ in range(decodings)]
            hashes += [as_architectures(space, batch)[0].columns["hash"] for batch in decoded]
        found = np.concatenate(hashes)
        result[name] = {
            "validity": len(found) / (points * decodings),
            "uniqueness": len(np.unique(found)) / len(found) if len(found) else 0.0,
        }
    return result


def measure(
    model: torch.nn.Module,
    space: Space,
    train: ArchitectureTable,
    held_out: ArchitectureTable,
    device: str = "cpu",
    seed: int = 0,
    cells: int = 4096,
    points: int = 1000,
    progress: bool = False,
) -> dict[str, Any]:
    """Both, on at most `cells` held-out architectures; where there are none, on those of the training.

    The papers decode 10,000 times from the prior: D-VAE, whose choices are drawn, 1,000 points 10 times each, arch2vec
    10,000 points once.
    """
    drawn = hasattr(model, "posterior")
    with progress_bar("measuring reconstruction, validity, uniqueness", 2, "figures", progress) as advance:
        table = held_out if len(held_out) else train
        figures = {"held_out": len(held_out) > 0, **reconstruction(model, space, table[:cells], device, seed)}
        advance(1)
        points, decodings = (points, 10) if drawn else (points * 10, 1)
        result = {"reconstruction": figures, "prior": prior(model, space, train, device, seed, points, decodings)}
        advance(1)
    return result
