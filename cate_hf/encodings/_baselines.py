"""Encodings that any other must beat: random numbers, and what an architecture costs."""

import os
from functools import cached_property

import numpy as np

from cate_hf.core._numbers import splitmix64
from cate_hf.encodings.base import BaseEncoding
from cate_hf.graphs._hashes import hash_bytes
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

_CHUNK = 65_536
_STEP = np.uint64(0x9E3779B97F4A7C15)  # of SplitMix64


class RandomEncoding(BaseEncoding):
    """64 independent standard normal numbers an architecture, made from its hash: they tell architectures apart and say
    nothing else of them. A search that does no better with another encoding has learned nothing from it.

    Nothing is lost: architectures that are not isomorphic have different vectors (all 423,624 cells of NAS-Bench-101).
    Isomorphic drawings share one.

    Args:
        dim: D.

    Raises:
        ValueError: D is below 1.
    """

    name = "random"

    def __init__(self, space: "str | os.PathLike | Space", dim: int = 64):
        super().__init__(space)
        if dim < 1:
            raise ValueError(f"random: dim must be at least 1, not {dim}")
        self.dim = dim

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        from scipy.special import ndtri

        table = self.own_table(table)
        hashes = table.columns["hash"] if "hash" in table.columns else self.space.hash_many(table)
        vectors = np.empty((len(table), self.dim), dtype=np.float32)
        for first in range(0, len(table), _CHUNK):
            rows = slice(first, first + _CHUNK)
            low, high = _words(hashes[rows])
            with np.errstate(over="ignore"):
                bits = splitmix64(
                    splitmix64(low[:, None] + _STEP * np.arange(1, self.dim + 1, dtype=np.uint64)) ^ high[:, None]
                )
            # 23 bits, so that a half more is exact in float32 and neither 0 nor 1 comes out.
            uniform = ((bits >> np.uint64(41)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
            ndtri(uniform, out=vectors[rows])
        return vectors


class ParametersEncoding(BaseEncoding):
    """The costs of an architecture alone, parameters and whatever else the space counts: log(1 + cost), standardised
    over the space's pool: 2 numbers for NAS-Bench-101, NAS-Bench-201 and DARTS.

    Lost is all but the costs: of the 423,624 cells of NAS-Bench-101, 423,414 share a vector with others; there are
    3,336 different vectors, one of 9,990 cells. Isomorphic drawings share a vector where the costs do not depend on the
    drawing; in NAS-Bench-101 they do a little where channels do not divide evenly among the vertices at the output.
    """

    name = "parameters"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        if not self.space.cost_names:
            raise ValueError(f"parameters: the search space {self.space.name} has no costs")
        self.dim = len(self.space.cost_names)

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        mean, deviation = self._scale
        return ((self._logarithms(self.own_table(table)) - mean) / deviation).astype(np.float32)

    def _logarithms(self, table: ArchitectureTable) -> np.ndarray:
        """(N, D) float64."""
        costs = np.empty((len(table), self.dim))
        for place, name in enumerate(self.space.cost_names):
            costs[:, place] = self.space.costs(table, name)
        return np.sign(costs) * np.log1p(np.abs(costs))  # a space of one's own may count what is below zero

    @cached_property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each over the pool; a deviation of 1 where all are equal."""
        logarithms = self._logarithms(self.space.pool(progress=True))
        differ = logarithms.max(axis=0) > logarithms.min(axis=0)  # the deviation of equal numbers is rounded, not 0
        return logarithms.mean(axis=0), np.where(differ, logarithms.std(axis=0), 1.0)


def _words(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second 16 hexadecimal characters of hashes (N,), as two (N,) uint64."""
    characters = hash_bytes(hashes).view(np.uint8).reshape(-1, 32)
    digits = np.where(characters >= ord("a"), characters - (ord("a") - 10), characters - ord("0")).astype(np.uint64)
    shifts = np.arange(60, -1, -4, dtype=np.uint64)
    return tuple(np.bitwise_or.reduce(part << shifts, axis=1) for part in (digits[:, :16], digits[:, 16:]))
