"""Successive halving: measure many architectures cheaply, and only the best of them at full cost.

The asynchronous scheme of Li et al. (A System for Massively Parallel Hyperparameter Tuning, MLSys 2020): nobody waits
for a whole round. Where the cheap measurements come from is the user's: fewer epochs, less data, smaller networks.
"""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.search.base import Optimizer

__all__ = ["SuccessiveHalving"]


class SuccessiveHalving:
    """Decides which architecture to measure next, and how well.

    Whatever is new is proposed by a search, which learns from the cheapest measurements alone, as these are of one
    scale. Of all that was measured at one fidelity the best part, one in `reduction`, is measured at the next one.

    With a journal (`Journal(optimizer, folder, about={...})`, made before, about what the fidelities are) each
    measurement is on disk before `tell` returns, and a killed search goes on as it was: nothing is measured again at a
    fidelity whose value was told.

    Args:
        optimizer: the search that proposes.
        fidelities: name -> cost of one measurement, such as its epochs, from the cheapest to the one that counts.
        reduction: how many are measured at a fidelity for each one at the next.

    Attributes:
        spent: cost of all that was told.

    Raises:
        ValueError: fewer than two fidelities, costs that do not increase, or a reduction below 2.
    """

    def __init__(self, optimizer: "Optimizer", fidelities: Mapping[str, float], reduction: int = 3):
        self.optimizer, self.reduction = optimizer, reduction
        self.names, self.costs = list(fidelities), [float(cost) for cost in fidelities.values()]
        increasing = all(low < high for low, high in zip(self.costs, self.costs[1:], strict=False))
        if len(self.names) < 2 or not increasing or not 0 < self.costs[0] or not math.isfinite(self.costs[-1]):
            raise ValueError(f"fidelities: expected two or more with costs that increase, got {dict(fidelities)}")
        if reduction < 2:
            raise ValueError(f"reduction must be 2 or more, not {reduction}")
        told = [(0, row, value) for row, value in zip(optimizer.rows, optimizer.values, strict=True)]
        told += optimizer.journal.measured if optimizer.journal is not None else []
        self.spent = 0.0
        self._values: list[dict[int, float]] = [{} for _ in self.names]  # of each fidelity, by row
        self._asked: list[dict[int, None]] = [dict.fromkeys(optimizer.pending_rows()), *({} for _ in self.names[1:])]
        self._given: set[tuple[int, int]] = set()  # by this process
        for level, row, value in told:
            if level >= len(self.names):
                raise ValueError(f"the journal has measurements of {level + 1} fidelities, expected {len(self.names)}")
            self._note(row, level, value)

    @staticmethod
    def parse(text: str) -> dict[str, float]:
        """Fidelities and costs of a text such as "validation_accuracy_12,validation_accuracy=108".

        A cost that is not given is the number at the end of the name.

        Raises:
            ValueError: no cost, one that is no number, or a name twice.
        """
        found: dict[str, float] = {}
        for part in text.split(","):
            name, _, cost = (piece.strip() for piece in part.partition("="))
            if not cost and (number := re.search(r"_(\d+)$", name)):
                cost = number[1]
            try:
                value = float(cost)
            except ValueError:
                raise ValueError(
                    f"fidelities: {part.strip()!r}: expected FIELD=COST, or a field that ends in its cost"
                ) from None
            if name in found:
                raise ValueError(f"fidelities: {name} is there twice")
            found[name] = value
        return found

    def ask(self) -> "tuple[Architecture, str]":
        """The next architecture, and the fidelity to measure it at.

        Ask as often as can be measured at once, and tell in any order.

        Raises:
            ValueError: every candidate has been measured, or asked for, at every fidelity.
        """
        row, level = self.ask_row()
        return self.optimizer.candidates[row], self.names[level]

    def ask_row(self) -> tuple[int, int]:
        """As `ask`: the row of the candidate, and the position of the fidelity."""
        waiting = [(row, 0) for row in self._asked[0] if (row, 0) not in self._given]  # of a process that was killed
        found = waiting[0] if waiting else self._promotion(self.reduction)
        if found is None:
            proposed = self.optimizer.ask_rows(1)
            found = (proposed[0], 0) if proposed else self._promotion(1)
        if found is None:
            raise ValueError("every candidate has been measured, or asked for, at every fidelity")
        row, level = found
        self._asked[level][row] = None
        self._given.add(found)
        return found

    def unfinished(self) -> bool:
        """Whether there is anything to ask for."""
        free = self.optimizer.num_unseen() or any((row, 0) not in self._given for row in self._asked[0])
        return bool(free) or self._promotion(1) is not None

    def tell(self, architecture: "Architecture", fidelity: str, value: float) -> None:
        """The value of an architecture at a fidelity, NaN where its measurement failed.

        Raises:
            ValueError: no such fidelity or candidate, an infinite value, or it has been told already.
            OSError: the journal cannot be written; nothing was told then.
        """
        if fidelity not in self.names:
            raise ValueError(f"tell: no fidelity {fidelity!r}, there are {', '.join(self.names)}")
        self.tell_row(self.optimizer.row_of(architecture), self.names.index(fidelity), value)

    def tell_row(self, row: int, level: int, value: float) -> None:
        """As `tell`, by the candidate's row and the fidelity's position."""
        number = self.optimizer.checked_value(row, value)
        if level and row in self._values[level]:
            raise ValueError(f"tell: candidate {row} has been told already at {self.names[level]}")
        if not level:
            self.optimizer.tell_row(row, number)
        elif self.optimizer.journal is not None:
            self.optimizer.journal.measured_at(level, row, number)
        self._note(row, level, number)

    def best(self) -> "tuple[Architecture, str, float]":
        """The best architecture of those measured at the highest fidelity that any was, that fidelity and the value.

        Raises:
            ValueError: nothing has been measured.
        """
        row, level = self.best_row()
        return self.optimizer.candidates[row], self.names[level], self._values[level][row]

    def best_row(self) -> tuple[int, int]:
        """As `best`: the row of the candidate, and the position of the fidelity."""
        for level in reversed(range(len(self.names))):
            if ranked := self._ranked(level):
                return ranked[0], level
        raise ValueError("nothing has been measured yet")

    def _note(self, row: int, level: int, value: float) -> None:
        self._asked[level].pop(row, None)
        self._values[level][row] = value
        self.spent += self.costs[level]

    def _ranked(self, level: int) -> list[int]:
        """Rows measured at a fidelity, the best first, without failures; of equal ones the one told first."""
        values = self._values[level]
        return sorted((row for row in values if not math.isnan(values[row])), key=lambda row: -values[row])

    def _promotion(self, reduction: int) -> tuple[int, int] | None:
        """The best row among the first of its fidelity, one in `reduction`, that was not asked for at the next one."""
        for level in reversed(range(len(self.names) - 1)):
            ranked, above = self._ranked(level), level + 1
            for row in ranked[: len(ranked) // reduction]:
                if row not in self._values[above] and row not in self._asked[above]:
                    return row, above
        return None
