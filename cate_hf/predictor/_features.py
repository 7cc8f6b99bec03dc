"""What the trees of a predictor see: structural statistics, a frozen encoding, and statistics at initialisation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.core.names import unknown
from cate_hf.statistics.structure import structure, structure_names

if TYPE_CHECKING:
    from cate_hf.encodings.cate import Encoder
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces import Space

STATISTICS = ("none", "structure", "both")


@dataclass(frozen=True)
class Features:
    """Numbers of architectures, side by side.

    Attributes:
        statistics: "structure", with "both" those of the network at initialisation too, or "none".
        encoder: whose encodings are added; None for none.
        initialisations: networks an architecture, over which statistics at initialisation are averaged.
    """

    space: "Space"
    statistics: str = "structure"
    encoder: "Encoder | None" = None
    initialisations: int = 1

    def __post_init__(self):
        """Raises ValueError for an unknown kind of statistics, or for no features at all."""
        if self.statistics not in STATISTICS:
            raise unknown("statistics", self.statistics, STATISTICS)
        if self.statistics == "none" and self.encoder is None:
            raise ValueError("a predictor without an encoder needs statistics: structure or both")

    @property
    def names(self) -> list[str]:
        from cate_hf.statistics.initialisation import initialisation_names

        found = [] if self.statistics == "none" else structure_names(self.space)
        found = found + (initialisation_names() if self.statistics == "both" else [])
        return found + ([] if self.encoder is None else [f"encoding:{i}" for i in range(self.encoder.dim)])

    def __call__(self, table: "ArchitectureTable", progress: bool = False) -> np.ndarray:
        """(N, F) float32 of architectures of the space.

        Raises:
            ValueError: an architecture of another space, or one whose network cannot be built.
        """
        parts = [] if self.statistics == "none" else [structure(self.space, table)]
        if self.statistics == "both":
            from cate_hf.statistics.initialisation import InitialisationSettings, initialisation

            settings = InitialisationSettings(initialisations=self.initialisations)
            parts.append(initialisation(self.space, table, settings, progress=progress))
        if self.encoder is not None:
            parts.append(self.encoder.encode(table, progress=progress))
        return np.column_stack(parts).astype(np.float32)
