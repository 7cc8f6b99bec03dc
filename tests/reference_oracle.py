"""An independent forward pass of the paper's reference code in plain NumPy, and random weight files of its layout.

It shares nothing with the package: one architecture or pair at a time, float64, written from the method's description.
"""

import argparse

import numpy as np
import torch

HEADS = 8


def random_weights(vocabulary: int, layers: int, cross_layers: int, seed: int = 0, prefix: str = "") -> dict:
    """A state dict of the reference's names and shapes: d_model 64, feed-forward 128 and 256."""
    rng = np.random.default_rng(seed)
    weights = {}

    def tensor(name, *shape, scale=0.15, shift=0.0):
        weights[prefix + name] = torch.tensor(rng.normal(shift, scale, shape), dtype=torch.float32)

    def linear(name, out, size):
        tensor(f"{name}.weight", out, size)
        tensor(f"{name}.bias", out)

    def norm(name):
        tensor(f"{name}.weight", 64, shift=1.0)
        tensor(f"{name}.bias", 64)

    tensor("opEmb.w2e.weight", vocabulary, 64)
    for stack, count, inner in (("graph_encoder.encoder_f", layers, 128), ("cross_attention", cross_layers, 256)):
        for i in range(count):
            norm(f"{stack}.layers.{i}.self_attn.norm")
            for j in range(4):
                linear(f"{stack}.layers.{i}.self_attn.attn.linears.{j}", 64, 64)
            norm(f"{stack}.layers.{i}.feed_forward.norm")
            linear(f"{stack}.layers.{i}.feed_forward.feed_forward.w_1", inner, 64)
            linear(f"{stack}.layers.{i}.feed_forward.feed_forward.w_2", 64, inner)
            norm(f"{stack}.norms.{i}")
    tensor("segEmb.t2e.weight", 2, 64)
    linear("cls.layer_1", 64, 64)
    linear("cls.layer_2", vocabulary, 64)
    return weights


def save_reference(path, weights: dict) -> None:
    """The reference's torch.save: nested namespaces of sizes, a NumPy scalar as the best loss."""
    inner = argparse.Namespace(n_head=HEADS, d_model=64, dropout=0.1)
    config = argparse.Namespace(graph_encoder=inner, cross_attention=inner, tied_weights=False, n_head=HEADS)
    torch.save(
        {"epoch": 9, "batch": 785, "config": config, "state_dict": weights, "best_vloss": np.float64(0.25)}, path
    )


class Oracle:
    def __init__(self, weights: dict):
        self.weights = {k.removeprefix("module."): v.double().numpy() for k, v in weights.items()}

    def linear(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def stack(self, name, x, mask):
        """x (L, 64), mask (L, L) of 0 and 1; the output of the last layer through its norm."""
        size = 64 // HEADS
        layer = 0
        while f"{name}.layers.{layer}.self_attn.norm.weight" in self.weights:
            base = f"{name}.layers.{layer}"
            normed = self.norm(f"{base}.self_attn.norm", x)
            query, key, value = (self.linear(f"{base}.self_attn.attn.linears.{i}", normed) for i in range(3))
            heads = []
            for h in range(HEADS):
                part = slice(h * size, (h + 1) * size)
                scores = query[:, part] @ key[:, part].T / np.sqrt(size)
                scores = np.where(mask == 0, -1e9, scores)
                attention = np.exp(scores - scores.max(-1, keepdims=True))
                heads.append(attention / attention.sum(-1, keepdims=True) @ value[:, part])
            x = x + self.linear(f"{base}.self_attn.attn.linears.3", np.concatenate(heads, -1))
            normed = self.norm(f"{base}.feed_forward.norm", x)
            inner = np.maximum(self.linear(f"{base}.feed_forward.feed_forward.w_1", normed), 0)
            x = x + self.linear(f"{base}.feed_forward.feed_forward.w_2", inner)
            layer += 1
        return self.norm(f"{name}.norms.{layer - 1}", x)

    @staticmethod
    def padded(ids, adjacency, length):
        full = np.zeros((length, length), int)
        full[: len(ids), : len(ids)] = adjacency
        for k in range(length):  # Floyd-Warshall
            full |= np.outer(full[:, k], full[k])
        return np.array([*ids, *[0] * (length - len(ids))]), full

    def hidden(self, ids, adjacency, length):
        ids, reach = self.padded(ids, adjacency, length)
        return self.stack("graph_encoder.encoder_f", self.weights["opEmb.w2e.weight"][ids] * 8.0, reach)

    def encode(self, ids, adjacency, length):
        return self.hidden(ids, adjacency, length)[-1]

    def pair(self, x, y, length):
        """Log-probabilities (2 * length, vocabulary) of a pair of (ids, adjacency)."""
        states = np.concatenate([self.hidden(*x, length), self.hidden(*y, length)])
        segments = self.weights["segEmb.t2e.weight"][[0] * length + [1] * length] * 8.0
        states = self.stack("cross_attention", states + segments, np.ones((2 * length, 2 * length)))
        scores = self.linear("cls.layer_2", np.tanh(self.linear("cls.layer_1", states)))
        scores = scores - scores.max(-1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(-1, keepdims=True))
