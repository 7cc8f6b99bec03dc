"""The ask/tell interface. Values are maximised."""

import copy
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cate_hf.table import ArchitectureTable

if TYPE_CHECKING:
    from cate_hf.architecture import Architecture
    from cate_hf.spaces import Space

_UNSEEN, _ASKED, _TOLD = 0, 1, 2


class Optimizer(ABC):
    """Proposes candidates, each at most once, and learns from the values that it is told.

    Args:
        space: the search space, for finding an architecture among the candidates by its hash.
        candidates: N unique architectures, with a hash column or not, in any order.
        seed: of all that is drawn.
        encodings: (N, D) float32, where `needs_encodings`.

    Attributes:
        rows, values: what was told so far, in that order; a failed evaluation has the value NaN.
    """

    needs_encodings: ClassVar[bool] = False
    _state: ClassVar[tuple[str, ...]] = ()  # attributes of a subclass that belong to its state, as JSON can hold them

    def __init__(
        self, space: "Space", candidates: ArchitectureTable, seed: int, encodings: np.ndarray | None = None
    ) -> None:
        if not len(candidates):
            raise ValueError("a search needs at least one candidate")
        if "hash" not in candidates.columns:
            candidates = candidates.with_columns(hash=space.hash_many(candidates))
        self.space, self.candidates, self.seed = space, candidates, seed
        self.rng = np.random.default_rng(seed)
        if self.needs_encodings:
            encodings = check_encodings(encodings, len(candidates))
        self.encodings = encodings
        self.rows: list[int] = []
        self.values: list[float] = []
        self._status = np.zeros(len(candidates), dtype=np.uint8)
        self._row_of_asked: dict[Architecture, int] = {}
        self._by_hash: np.ndarray | None = None

    @abstractmethod
    def _propose(self, n: int) -> list[int]:
        """At most n rows that are unseen and distinct, best first; at least one while any is unseen."""

    def ask_rows(self, n: int = 1) -> list[int]:
        """Rows of the next n candidates to evaluate; fewer when the candidates run out.

        Raises:
            ValueError: n is below 1.
        """
        if n < 1:
            raise ValueError(f"ask: n must be at least 1, not {n}")
        rows: list[int] = []
        while len(rows) < n and (self._status == _UNSEEN).any():
            proposed = self._propose(n - len(rows))
            self._status[proposed] = _ASKED
            rows += proposed
        return rows

    def tell_row(self, row: int, value: float) -> None:
        """The value of a candidate, asked for or not. NaN: its evaluation failed; it is not asked for again.

        Raises:
            ValueError: the value is infinite, or another value was told before.
        """
        value = float(value)
        if math.isinf(value):
            raise ValueError(f"tell: the value of candidate {row} is {value}; expected a number, or NaN for a failure")
        if self._status[row] == _TOLD:
            raise ValueError(f"tell: candidate {row} has been told already")
        self._status[row] = _TOLD
        self.rows.append(int(row))
        self.values.append(value)

    def ask(self, n: int = 1) -> "list[Architecture]":
        """The next n architectures to evaluate; none is ever asked twice."""
        architectures = []
        for row in self.ask_rows(n):
            architecture = self.candidates[row]
            self._row_of_asked[architecture] = row
            architectures.append(architecture)
        return architectures

    def tell(self, architecture: "Architecture", value: float) -> None:
        """The value of an architecture in any isomorphic drawing, in any order, asked for or not; NaN for a failure.

        Raises:
            ValueError: it is not among the candidates, or was told before.
        """
        row = self._row_of_asked.get(architecture)
        self.tell_row(self._find(architecture) if row is None else row, value)

    def state_dict(self) -> dict:
        """All that changes, as JSON can hold it; candidates, encodings and seed are not part of it."""
        return {
            "rows": self.rows.copy(),
            "values": [None if math.isnan(value) else value for value in self.values],
            "pending": np.flatnonzero(self._status == _ASKED).tolist(),
            "generator": self.rng.bit_generator.state,
            **{name: copy.copy(getattr(self, name)) for name in self._state},
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from a state of an optimizer made with the same arguments. What was asked and not told stays asked.

        Raises:
            ValueError: the state is of another algorithm, or names rows that are not among the candidates.
        """
        expected = {"rows", "values", "pending", "generator", *self._state}
        if set(state) != expected:
            raise ValueError(f"search state: expected {sorted(expected)}, got {sorted(state)}")
        outside = [row for row in (*state["rows"], *state["pending"]) if not 0 <= row < len(self.candidates)]
        if outside:
            raise ValueError(f"search state: row {outside[0]} is not among the {len(self.candidates)} candidates")
        self.rows = list(state["rows"])
        self.values = [math.nan if value is None else float(value) for value in state["values"]]
        self._status[:] = _UNSEEN
        self._status[state["pending"]] = _ASKED
        self._status[self.rows] = _TOLD
        self.rng.bit_generator.state = state["generator"]
        for name in self._state:
            setattr(self, name, copy.copy(state[name]))

    def _find(self, architecture: "Architecture") -> int:
        wanted = self.space.hash(architecture).encode()
        row = int(self._rows_of(np.array([wanted]))[0])
        if row < 0:
            raise ValueError(f"tell: the architecture with hash {wanted.decode()} is not among the candidates")
        return row

    def _rows_of(self, wanted: np.ndarray) -> np.ndarray:
        """(n,) rows of the candidates with these hashes (n,) S32, -1 where there is none."""
        hashes = self.candidates.columns["hash"]
        if self._by_hash is None:
            self._by_hash = np.argsort(hashes)
        at = np.searchsorted(hashes, wanted, sorter=self._by_hash)
        rows = self._by_hash[np.minimum(at, len(hashes) - 1)]
        return np.where(hashes[rows] == wanted, rows, -1)

    def _unseen(self) -> np.ndarray:
        return np.flatnonzero(self._status == _UNSEEN)

    def _draw_unseen(self, n: int) -> list[int]:
        """n distinct unseen rows, uniformly."""
        unseen = self._unseen()
        return self.rng.choice(unseen, size=min(n, len(unseen)), replace=False).tolist()

    def _observed(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and values told so far, without failures."""
        rows, values = np.array(self.rows, dtype=np.intp), np.array(self.values)
        good = ~np.isnan(values)
        return rows[good], values[good]


def check_encodings(encodings: np.ndarray | None, rows: int) -> np.ndarray:
    """(rows, D) finite float32, contiguous.

    Raises:
        ValueError: saying what is wrong with them.
    """
    if encodings is None:
        raise ValueError("this search algorithm needs encodings of the candidates")
    encodings = np.ascontiguousarray(encodings, dtype=np.float32)
    if encodings.ndim != 2 or len(encodings) != rows:
        raise ValueError(f"encodings must be ({rows}, D), one row a candidate, not {encodings.shape}")
    wrong = np.flatnonzero(~np.isfinite(encodings).all(axis=1))
    if len(wrong):
        raise ValueError(f"encodings, row {wrong[0]}: not finite")
    return encodings
