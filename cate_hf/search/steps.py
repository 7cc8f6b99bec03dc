"""Steps from one candidate to others: in the search space, or in an encoding."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.search.base import Optimizer
from cate_hf.search.nearest import Nearest

if TYPE_CHECKING:
    from cate_hf.architecture import Architecture
    from cate_hf.spaces import Space

_DRAWS = 10  # of an encoding's own random steps, for each that is wanted


class Stepping(Optimizer):
    """A search that perturbs architectures, in the space or in the encoding.

    Perturbing is one of the three subroutines that depend on an encoding (White et al., "A Study on Encodings for
    Neural Architecture Search", NeurIPS 2020, section 4).

    Settings:
        perturb: "space": a step leads to a neighbour in the space (`Space.neighbours`) that is among the candidates.
            "encoding": by a step of the encoding's own (`Encoding.perturb`) where one is given that has some; else, as
            White et al. do with learned encodings, to one of the nearest unvisited candidates in L2.
        nearest: how many steps in the encoding make a neighbourhood.
    """

    defaults = {"perturb": "space", "nearest": 10}
    choices = {"perturb": ("space", "encoding")}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._neighbours: dict[int, np.ndarray] = {}
        self._nearest = None if self.encodings is None else Nearest(self.encodings, self.squared_norms)

    def _steps_from(self, row: int) -> np.ndarray:
        """Unseen rows that a step leads to: by row, or the nearest first, or in the order in which they were drawn."""
        free = self._is_free()
        if self.settings["perturb"] == "space":
            neighbours = self._neighbours_of(row)
            return neighbours[free[neighbours]]
        if self.encoding is None:
            return self._nearest.free(row, free, self.settings["nearest"])
        return self._own_steps(row, free)

    def _neighbours_of(self, row: int) -> np.ndarray:
        """Rows of a candidate's neighbours in the space that are candidates too, in the order of the rows."""
        if row not in self._neighbours:
            rows = self._rows_of(_neighbour_hashes(self.space, self.candidates[row]))
            self._neighbours[row] = np.sort(rows[rows >= 0])
        return self._neighbours[row]

    def _own_steps(self, row: int, free: np.ndarray) -> np.ndarray:
        architecture, wanted = self.candidates[row], self.settings["nearest"]
        found: dict[int, None] = {}
        for _ in range(_DRAWS):
            drawn = [self.encoding.perturb(architecture, self.rng) for _ in range(wanted - len(found))]
            drawn = [other for other in drawn if other is not None]
            if drawn:
                rows = self._rows_of(self.space.hash_many(self.space.table(drawn)))
                found.update(dict.fromkeys(rows[(rows >= 0) & free[rows]].tolist()))
            if len(found) >= wanted:
                break
        return np.array(list(found), dtype=np.intp)


@lru_cache(maxsize=16_384)  # trials of one space come by the same architectures
def _neighbour_hashes(space: "Space", architecture: "Architecture") -> np.ndarray:
    return space.neighbours(architecture).columns["hash"]
