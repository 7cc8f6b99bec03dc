"""The features of a predictor's simple parts: structural statistics, statistics at initialisation, a frozen encoding,
and the canonical adjacency."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.graphs._node_order import canonical_wiring
from cate_hf.statistics.structure import structure, structure_names

if TYPE_CHECKING:
    from cate_hf.encodings.cate import Encoder
    from cate_hf.encodings.universal import UniversalEncoder
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.predictor._auxiliary import Auxiliary
    from cate_hf.spaces import Space

STATISTICS = ("none", "structure", "both")
MOST_WIRING = 1024


def wiring_dim(space: "Space") -> int:
    """The number of columns of the canonical adjacency of a space."""
    size, inputs = space.max_nodes, space.num_inputs
    return size * (size - 1) // 2 + (size - inputs - 1) * (len(space.vocabulary) - inputs - 1)


@dataclass(frozen=True)
class Features:
    """Numbers of architectures, side by side.

    Attributes:
        statistics: "structure", with "both" those of the network at initialisation too, or "none".
        encoder: whose encodings are added; None for none.
        initialisations: networks an architecture, over which statistics at initialisation are averaged.
        wiring: whether the canonical adjacency is added (`cate_hf.graphs._node_order`), in a space where it has at most
            1,024 numbers.
        cells: how many an architecture has, whose features stand side by side.
        auxiliary: what else is known of architectures; None for nothing.
    """

    space: "Space"
    statistics: str = "structure"
    encoder: "Encoder | UniversalEncoder | None" = None
    initialisations: int = 1
    wiring: bool = False
    cells: int = 1
    auxiliary: "Auxiliary | None" = None

    def __post_init__(self):
        """Raises ValueError for an unknown kind of statistics, or for no features at all."""
        if self.statistics not in STATISTICS:
            raise unknown("statistics", self.statistics, STATISTICS)
        if self.statistics == "none" and self.encoder is None:
            raise ValueError("a predictor without an encoder needs statistics: structure or both")

    @property
    def has_wiring(self) -> bool:
        """Whether the canonical adjacency is among the features."""
        return self.wiring and self._wiring_dim <= MOST_WIRING

    @property
    def names(self) -> list[str]:
        """One name a column."""
        from cate_hf.statistics.initialisation import initialisation_names

        found = [] if self.statistics == "none" else structure_names(self.space)
        found = found + (initialisation_names() if self.statistics == "both" else [])
        found = found + ([] if self.encoder is None else [f"encoding:{i}" for i in range(self.encoder.dim)])
        if self.cells > 1:
            found = [f"{name} of cell {cell}" for cell in range(1, self.cells + 1) for name in found]
        found += [f"wiring:{i}" for i in range(self._wiring_dim)] if self.has_wiring else []
        return found + ([] if self.auxiliary is None else [f"auxiliary:{name}" for name in self.auxiliary.names])

    @property
    def _wiring_dim(self) -> int:
        return self.cells * wiring_dim(self.space)

    @property
    def dim(self) -> int:
        """The number of columns."""
        return len(self.names)

    @property
    def plain_dim(self) -> int:
        """The number of columns before those of the canonical adjacency."""
        return self.own_dim - (self._wiring_dim if self.has_wiring else 0)

    @property
    def own_dim(self) -> int:
        """The number of columns before the auxiliary ones."""
        return self.dim - (0 if self.auxiliary is None else len(self.auxiliary.names))

    def __call__(self, table: "ArchitectureTable", progress: bool = False, labelled: bool = False) -> np.ndarray:
        """(N, F) float32 of architectures of the space.

        Args:
            table: the architectures; a column "text" may tell isomorphic ones apart in the auxiliary columns.
            progress: draw a progress bar.
            labelled: whether these are the architectures that a predictor is fitted to.

        Raises:
            ValueError: an architecture of another space, or one whose network cannot be built.
        """
        cells = getattr(table, "parts", (table,))
        auxiliary = []
        parts = [part for cell in cells for part in self._plain(cell, progress)]
        if self.auxiliary is not None:
            auxiliary = [self.auxiliary(self.space, table, np.column_stack(parts), labelled)]
        if self.has_wiring:
            parts += [canonical_wiring(cell.widen(self.space.max_nodes), self.space.num_inputs) for cell in cells]
        return np.column_stack(parts + auxiliary).astype(np.float32)

    def _plain(self, table: "ArchitectureTable", progress: bool) -> list[np.ndarray]:
        parts = [] if self.statistics == "none" else [structure(self.space, table)]
        if self.statistics == "both":
            from cate_hf.statistics.initialisation import InitialisationSettings, initialisation

            settings = InitialisationSettings(initialisations=self.initialisations)
            parts.append(initialisation(self.space, table, settings, progress=progress))
        if self.encoder is not None:
            parts.append(self.encoder.encode(table, progress=progress))
        return parts
