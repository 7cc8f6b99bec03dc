"""Structural statistics as an encoding."""

import os
from functools import cached_property

import numpy as np

from cate_hf.encodings.base import BaseEncoding
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space
from cate_hf.statistics.structure import structure, structure_names


class StructureEncoding(BaseEncoding):
    """Statistics of an architecture's graph (`cate_hf.statistics.structure`), each standardised over the space's pool;
    30 numbers for NAS-Bench-101, 36 for NAS-Bench-201, 69 for DARTS. With trees as predictor much like GRAF (Kadlecová
    et al., ICML 2024), the baseline that a learned encoding has to beat.

    Lost is what these do not tell apart: of the 423,624 cells of NAS-Bench-101, 262,540 share a vector with others;
    there are 248,873 different vectors. Isomorphic drawings share a vector, but for costs that differ among them.
    """

    name = "structure"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.dim = len(structure_names(self.space))

    @property
    def feature_names(self) -> list[str]:
        """Names of the statistics."""
        return structure_names(self.space)

    @cached_property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        """(D,) float64 mean and standard deviation over the pool; 1 where all are equal."""
        return mean_and_spread(structure(self.space, self.pool))

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        mean, spread = self._scale
        return ((structure(self.space, self.own_table(table)) - mean) / spread).astype(np.float32)


def mean_and_spread(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) -> (D,) float64 means and standard deviations; the latter 1 where all are equal."""
    numbers = numbers.astype(np.float64)
    spread = numbers.std(axis=0)
    equal = numbers.min(axis=0) == numbers.max(axis=0)
    return numbers.mean(axis=0), np.where(equal, 1.0, spread)
