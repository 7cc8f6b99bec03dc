"""The ask/tell interface. Values are maximised."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cate_hf.graphs._hashes import HashIndex
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.search._checks import check_encodings, check_settings

if TYPE_CHECKING:
    from cate_hf.encodings import Encoding
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.search.journal import Journal
    from cate_hf.spaces import Space

__all__ = ["Optimizer"]

_UNSEEN, _ASKED, _TOLD = 0, 1, 2


class Optimizer(ABC):
    """Proposes candidates, each at most once, and learns from the values that it is told.

    Ask for as many as can be evaluated at once, and again before any of them is told; tell in any order, also what was
    never asked for. What is asked and not told yet is not proposed again, and teaches nothing until it is told.

    Args:
        space: the search space, for finding an architecture among the candidates by its hash.
        candidates: N unique architectures, with a hash column or not, in any order.
        seed: of all that is drawn.
        encodings: (N, D) float32, where `needs_encodings`, or where a setting asks for steps in the encoding.
        encoding: what they were made by, where it has steps of its own (see `cate_hf.search._steps`).
        **settings: of the algorithm, in the place of its `defaults`.

    Attributes:
        rows, values: what was told so far, in that order; a failed evaluation has the value NaN.
        given: how many candidates there were at first; a search with open steps adds to them.
        journal: the `Journal` that keeps each ask and tell on disk; None without one.

    Raises:
        ValueError: no candidate, encodings that do not fit, an unknown setting or a value that it cannot have.
    """

    name: ClassVar[str]
    needs_encodings: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, Any]] = {}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    _state: ClassVar[tuple[str, ...]] = ()  # attributes of a subclass that belong to its state, as JSON can hold them
    _arrays: ClassVar[tuple[str, ...]] = ()  # those that are arrays, or None

    def __init__(
        self,
        space: "Space",
        candidates: ArchitectureTable,
        seed: int,
        encodings: np.ndarray | None = None,
        encoding: "Encoding | None" = None,
        **settings: Any,
    ) -> None:
        if not len(candidates):
            raise ValueError("a search needs at least one candidate")
        if "hash" not in candidates.columns:
            candidates = candidates.with_columns(hash=space.hash_many(candidates))
        self.settings = self.checked(settings)
        self.space, self.candidates, self.given, self.seed = space, candidates, len(candidates), int(seed)
        self.rng = np.random.default_rng(seed)
        in_encoding = self.settings.get("perturb") == "encoding"
        own_steps = in_encoding or self.settings.get("sample") == "encoding"
        self.encoding: Any = encoding if encoding is not None and own_steps and not encoding.by_table else None
        self.encodings: Any = None
        self.squared_norms: Any = None
        self.longest = 0.0
        if self.needs_encodings or (in_encoding and self.encoding is None):
            self.encodings, self.squared_norms = check_encodings(encodings, len(candidates))
            self.longest = float(self.squared_norms.max()) ** 0.5 * (1 + 1e-5)
        self.rows: list[int] = []
        self.values: list[float] = []
        self._leader: int | None = None  # position in `rows` of the highest value, the first of equal ones
        self._status = np.zeros(len(candidates), dtype=np.uint8)
        self._pending: dict[int, None] = {}  # rows that were asked and not told, in that order
        self._row_of_asked: dict[Architecture, int] = {}
        self._by_hash: HashIndex | None = None  # of the candidates that were given
        self._added: dict[str, int] = {}  # hash -> row, of those that came to be candidates meanwhile
        self.journal: Journal | None = None

    @classmethod
    def checked(cls, settings: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
        """Return all settings of this search, those given in the place of the defaults.

        Args:
            settings: those that differ from the defaults.
            name: what errors call the search; its own name when None.

        Raises:
            ValueError: an unknown setting, or a value that it cannot have.
        """
        return check_settings(name or cls.name, cls.defaults, cls.choices, settings)

    @abstractmethod
    def _propose(self, n: int) -> list[int]:
        """At most n rows that are unseen and distinct, best first; at least one while any is unseen."""

    def ask_rows(self, n: int = 1) -> list[int]:
        """Rows of the next n candidates to evaluate; fewer when the candidates run out.

        Raises:
            ValueError: n is below 1.
            OSError: a journal is attached and cannot be written; nothing was asked then.
        """
        if n < 1:
            raise ValueError(f"ask: n must be at least 1, not {n}")
        rows: list[int] = []
        small, arrays = self.small_state(), self.state_arrays()
        try:
            while len(rows) < n and self.num_unseen():
                proposed = self._propose(n - len(rows))
                self._status[proposed] = _ASKED
                self._pending.update(dict.fromkeys(proposed))
                rows += proposed
            if rows and self.journal is not None:
                self.journal.asked(self, rows)
        except BaseException:  # Ctrl-C too: nothing is asked that is not given out
            for row in rows:
                self._status[row] = _UNSEEN
                self._pending.pop(row, None)
            self.restore(small, arrays)
            raise
        return rows

    def tell_row(self, row: int, value: float) -> None:
        """The value of a candidate, asked for or not. NaN: its evaluation failed; it is not asked for again.

        Raises:
            ValueError: no such row, no number or an infinite one, or another value was told before.
            OSError: a journal is attached and cannot be written; nothing was told then.
        """
        number = self.checked_value(row, value)
        if self._status[row] == _TOLD:
            raise ValueError(f"tell: candidate {row} has been told already")
        if self.journal is not None:
            self.journal.told(int(row), number)
        self._note(int(row), number)

    def checked_value(self, row: int, value: float) -> float:
        """A value that a candidate may have. Raises ValueError for no such row, no number or an infinite one."""
        if not 0 <= row < len(self.candidates):
            raise ValueError(f"tell: row {row} of {len(self.candidates)} candidates")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"tell: the value of candidate {row} is {value!r}; expected a number") from None
        if math.isinf(number):
            raise ValueError(f"tell: the value of candidate {row} is {value}; expected a number, or NaN for a failure")
        return number

    def _note(self, row: int, value: float) -> None:
        self._status[row] = _TOLD
        self._pending.pop(row, None)
        if not math.isnan(value) and (self._leader is None or value > self.values[self._leader]):
            self._leader = len(self.rows)
        self.rows.append(row)
        self.values.append(value)

    def ask(self, n: int = 1) -> "list[Architecture]":
        """The next n architectures to evaluate, as `ask_rows`; none is ever asked twice."""
        return self._architectures(self.ask_rows(n))

    def tell(self, architecture: "Architecture", value: float) -> None:
        """The value of an architecture in any isomorphic drawing, in any order, asked for or not; NaN for a failure.

        Raises:
            ValueError: it is not among the candidates, or as `tell_row`.
        """
        self.tell_row(self.row_of(architecture), value)

    def fail(self, architecture: "Architecture") -> None:
        """The evaluation of an architecture failed: `tell` of NaN."""
        self.tell(architecture, math.nan)

    def pending_rows(self) -> list[int]:
        """Rows that were asked for and not told, in the order in which they were asked."""
        return list(self._pending)

    def pending(self) -> "list[Architecture]":
        """What was asked for and not told, in that order: after an interruption, what to evaluate first."""
        return self._architectures(self.pending_rows())

    def _architectures(self, rows: list[int]) -> "list[Architecture]":
        architectures = [self.candidates[row] for row in rows]
        self._row_of_asked.update(zip(architectures, rows, strict=True))
        return architectures

    def mark_asked(self, rows: list[int]) -> None:
        """Take unseen rows as asked for, as if `ask_rows` had given them."""
        for row in rows:
            if not 0 <= row < len(self.candidates) or self._status[row] != _UNSEEN:
                raise ValueError(f"row {row} of {len(self.candidates)} candidates cannot be asked for (again)")
            self._status[row] = _ASKED
            self._pending[row] = None

    def state_dict(self) -> dict:
        """All that changes but arrays, as JSON can hold it; candidates, encodings and seed are not part of it."""
        return {
            "rows": self.rows.copy(),
            "values": [None if math.isnan(value) else value for value in self.values],
            "pending": self.pending_rows(),
            **self.small_state(),
        }

    def small_state(self) -> dict:
        """What changes besides what was asked and told and the arrays."""
        return {"generator": self.rng.bit_generator.state} | {
            name: copy.copy(getattr(self, name)) for name in self._state
        }

    def state_arrays(self) -> dict[str, np.ndarray]:
        """The arrays that belong to the state, by name; they are replaced, never changed."""
        return {name: getattr(self, name) for name in self._arrays if getattr(self, name) is not None}

    def load_state_dict(self, state: dict, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Go on from a state of an optimizer made with the same arguments. What was asked and not told stays asked.

        Raises:
            ValueError: the state is of another algorithm, or names rows that are not among the candidates.
        """
        expected = {"rows", "values", "pending", "generator", *self._state}
        if set(state) != expected:
            raise ValueError(f"search state: expected {sorted(expected)}, got {sorted(state)}")
        self.extend_candidates(state)
        outside = [row for row in (*state["rows"], *state["pending"]) if not 0 <= row < len(self.candidates)]
        if outside:
            raise ValueError(f"search state: row {outside[0]} is not among the {len(self.candidates)} candidates")
        seen = [*state["rows"], *state["pending"]]
        if len(state["values"]) != len(state["rows"]) or len(set(seen)) != len(seen):
            raise ValueError("search state: expected a value for each row, and each row once")
        self._pending = dict.fromkeys(state["pending"])
        self._status[:] = _UNSEEN
        self._status[state["pending"]] = _ASKED
        self.rows, self.values, self._leader = [], [], None
        for row, value in zip(state["rows"], state["values"], strict=True):
            self._note(row, math.nan if value is None else float(value))
        self.restore(state, arrays or {})

    def extend_candidates(self, small: Mapping[str, Any]) -> None:  # noqa: B027, most searches have none
        """Add the candidates that a state has besides those that were given. None, but where steps are open."""

    def restore(self, small: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """The inverse of `small_state` and `state_arrays`."""
        self.rng.bit_generator.state = small["generator"]
        for name in self._state:
            setattr(self, name, copy.copy(small[name]))
        for name in self._arrays:
            setattr(self, name, arrays.get(name))

    def row_of(self, architecture: "Architecture") -> int:
        """The row of an architecture, in any isomorphic drawing. Raises ValueError where it is no candidate."""
        row = self._row_of_asked.get(architecture)
        return self._find(architecture) if row is None else row

    def _find(self, architecture: "Architecture") -> int:
        wanted = self.space.hash(architecture)
        row = int(self._rows_of(np.array([wanted]))[0])
        if row < 0:
            raise ValueError(f"tell: the architecture with hash {wanted} is not among the candidates")
        return row

    def _rows_of(self, wanted: np.ndarray) -> np.ndarray:
        """(n,) rows of the candidates with these hashes (n,), -1 where there is none."""
        hashes = self.candidates.columns["hash"][: self.given]
        if self._by_hash is None:
            self._by_hash = HashIndex(hashes)
        rows = self._by_hash.rows(wanted)
        if self._added:
            for place in np.flatnonzero(rows < 0):
                rows[place] = self._added.get(str(wanted[place]), -1)
        return rows

    def _add(self, table: ArchitectureTable) -> None:
        """Make architectures candidates, in the rows that follow; a table with a hash column, none of them one yet."""
        first = len(self.candidates)
        plain = [t.replace_columns({"hash": t.columns["hash"]}) for t in (self.candidates, table)]
        self.candidates = ArchitectureTable.concatenate(plain)
        self._status = np.concatenate([self._status, np.zeros(len(table), dtype=np.uint8)])
        self._added |= {str(h): first + i for i, h in enumerate(table.columns["hash"])}

    def best_row(self) -> int:
        """The row of the candidate that the search thinks best: that of the highest value, the first of equal ones.

        Raises:
            ValueError: nothing was told, or all evaluations failed.
        """
        if self._leader is None:
            raise ValueError("nothing has been told yet")
        return self.rows[self._leader]

    def num_unseen(self) -> int:
        """How many candidates were neither asked for nor told."""
        return int((self._status == _UNSEEN).sum())

    def _is_free(self) -> np.ndarray:
        """(N,) bool: neither asked for nor told."""
        return self._status == _UNSEEN

    def _unseen(self) -> np.ndarray:
        return np.flatnonzero(self._status == _UNSEEN)

    def _draw_unseen(self, n: int) -> list[int]:
        """N distinct unseen rows, uniformly."""
        unseen = self._unseen()
        return self.rng.choice(unseen, size=min(n, len(unseen)), replace=False).tolist()

    def _observed(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and values told so far, without failures."""
        rows, values = np.array(self.rows, dtype=np.intp), np.array(self.values)
        good = ~np.isnan(values)
        return rows[good], values[good]
