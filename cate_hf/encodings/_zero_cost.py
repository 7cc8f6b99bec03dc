"""Statistics of networks at initialisation as an encoding."""

import os
import warnings
from functools import cached_property

import numpy as np

from cate_hf.core._parallel import num_threads
from cate_hf.encodings._structure import mean_and_spread
from cate_hf.encodings.base import BaseEncoding
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space
from cate_hf.statistics.initialisation import (
    InitialisationSettings,
    initialisation,
    initialisation_names,
    networks_to_measure,
    seconds_each,
)

_REFERENCE_ROWS = 256
_MANY = 2000  # networks to measure, before a warning says how long it takes
_MOST = 10.0


class ZeroCostEncoding(BaseEncoding):
    """Statistics of an architecture's own network at initialisation (`cate_hf.statistics.initialisation`), 25 numbers,
    each standardised over 256 random architectures of the pool and cut at ±10.

    A network takes tens of milliseconds; what was measured is kept in the cache folder and is there at once the next
    time. Where many are still to be measured, `transform` warns how long that takes.

    Lost is nothing in practice: the numbers are those of random weights and images, and networks that compute different
    functions have different ones. Isomorphic drawings have those of other random weights.

    Args:
        settings: how networks are measured.
        jobs: processes; as many as there are processors when None.
        progress: draw a progress bar.

    Raises:
        ValueError: the space has no network.
    """

    name = "zero-cost"

    def __init__(
        self,
        space: "str | os.PathLike | Space",
        settings: InitialisationSettings | None = None,
        jobs: int | None = None,
        progress: bool = True,
    ):
        super().__init__(space)
        self.settings, self.jobs, self.progress = settings or InitialisationSettings(), jobs, progress
        self.space.build(self.space.example(), **self.settings.build_settings(self.space))
        self.dim = len(initialisation_names())

    def _measured(self, table: ArchitectureTable) -> np.ndarray:
        return initialisation(self.space, table, self.settings, self.jobs, self.progress)

    @cached_property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        """(25,) float64 mean and standard deviation over a sample of the pool."""
        rows = np.random.default_rng(0).choice(len(self.pool), min(_REFERENCE_ROWS, len(self.pool)), replace=False)
        return mean_and_spread(self._measured(self.pool[np.sort(rows)]))

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        table = self.own_table(table)
        networks = networks_to_measure(self.space, table, self.settings)
        if networks > _MANY:
            warnings.warn(self._how_long(table, networks), stacklevel=2)
        mean, spread = self._scale
        standardised = (self._measured(table) - mean) / spread
        return np.clip(standardised, -_MOST, _MOST).astype(np.float32)

    def _how_long(self, table: ArchitectureTable, networks: int) -> str:
        each, jobs = seconds_each(self.space, table, self.settings), self.jobs or num_threads()
        return (
            f"{networks:,} networks of {self.space.name} are still to be measured: about "
            f"{_in_words(networks * each / jobs)}, at {each * 1000:.0f} ms a network, {jobs} at a time. What is "
            "measured is kept, and goes on where it was interrupted."
        )


def _in_words(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
