"""Steps from one candidate to others: in the search space, or in an encoding."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.search._nearest import Nearest
from cate_hf.search.base import Optimizer

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.graphs.table import ArchitectureTable
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
            "open": to any neighbour in the space; it becomes a candidate where it is none. In a space that cannot be
            listed few neighbours are among a sample of it, and only so an evolution is one.
        nearest: how many steps in the encoding make a neighbourhood.
    """

    defaults = {"perturb": "space", "nearest": 10}
    choices = {"perturb": ("space", "encoding", "open")}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._neighbours: dict[int, np.ndarray] = {}
        self._nearest = None if self.encodings is None else Nearest(self.encodings, self.squared_norms)
        self._opened: list[int] = []  # rows whose neighbours are all candidates, in that order: it says which they are
        if self.settings["perturb"] == "open":
            self._state = (*self._state, "_opened")

    def _steps_from(self, row: int) -> np.ndarray:
        """Unseen rows that a step leads to: by row, or the nearest first, or in the order in which they were drawn."""
        if self.settings["perturb"] != "encoding":
            neighbours = self._neighbours_of(row)
            return neighbours[self._is_free()[neighbours]]
        free = self._is_free()
        if self.encoding is None:
            return self._nearest.free(row, free, self.settings["nearest"])
        return self._own_steps(row)

    def _neighbours_of(self, row: int) -> np.ndarray:
        """Rows of a candidate's neighbours in the space that are candidates too, in the order of the rows."""
        if row not in self._neighbours:
            if self.settings["perturb"] == "open" and row not in self._opened:
                self._open(row)
            rows = self._rows_of(_neighbours(self.space, self.candidates[row]).columns["hash"])
            self._neighbours[row] = np.sort(rows[rows >= 0])
        return self._neighbours[row]

    def _open(self, row: int) -> None:
        """Make all neighbours of a candidate candidates."""
        neighbours = _neighbours(self.space, self.candidates[row])
        new = np.flatnonzero(self._rows_of(neighbours.columns["hash"]) < 0)
        self._opened.append(row)
        if len(new):
            self._add(neighbours[new])

    def extend_candidates(self, small: Mapping[str, Any]) -> None:
        for row in small.get("_opened", [])[len(self._opened) :]:
            self._open(row)

    def restore(self, small: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self.extend_candidates(small)
        opened = self._opened
        super().restore(small, arrays)
        self._opened = opened  # what has become a candidate stays one

    def _one_step_from(self, row: int) -> int | None:
        """One of the unseen rows that a step leads to, at random; None where there is none."""
        if self.settings["perturb"] == "encoding" and self.encoding is not None:
            for _ in range(_DRAWS * self.settings["nearest"]):
                steps = self._drawn_steps(row, 1)
                if len(steps):
                    return int(steps[0])
            return None
        steps = self._steps_from(row)
        return int(self.rng.choice(steps)) if len(steps) else None

    def _drawn_steps(self, row: int, count: int) -> np.ndarray:
        """Unseen rows among those that so many random steps of the encoding's own lead to."""
        architecture = self.candidates[row]
        drawn = [self.encoding.perturb(architecture, self.rng) for _ in range(count)]
        drawn = [other for other in drawn if other is not None]
        rows = self._rows_of(self.space.hash_many(self.space.table(drawn))) if drawn else np.empty(0, np.intp)
        return rows[(rows >= 0) & (self._status[rows] == 0)]

    def _own_steps(self, row: int) -> np.ndarray:
        wanted = self.settings["nearest"]
        found: dict[int, None] = {}
        for _ in range(_DRAWS):
            found.update(dict.fromkeys(self._drawn_steps(row, wanted - len(found)).tolist()))
            if len(found) >= wanted:
                break
        return np.array(list(found), dtype=np.intp)


@lru_cache(maxsize=16_384)  # trials of one space come by the same architectures
def _neighbours(space: "Space", architecture: "Architecture") -> "ArchitectureTable":
    """Those in the space, with a column hash."""
    return space.neighbours(architecture)
