"""What candidates score by a benchmark, for a search that is told one field and judged by another."""

from collections.abc import Sequence

import numpy as np

from cate_hf.benchmarks import Benchmark
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.search._oracles import find_oracle

__all__ = ["Evaluation"]


class Evaluation:
    """Values of candidates by two fields of a benchmark, as arrays or computed when they are asked for.

    Args:
        benchmark: of the candidates' space.
        candidates: N architectures with a hash column. Of a table of results, those without a value are left out.
        guide, report: what the search is told, and what it is judged by, as `find_oracle` reads them; by default the
            benchmark's own, and what guides.
        lower: cheaper numbers than the guide, the cheapest first.

    Attributes:
        guided_by, judged_by: the `Oracle` of each; guide_field, report_field: their fields.
        candidates: those that remain.
        known: (N,) bool, which of the given ones they are.
        best_possible: the highest reported value among them, None where it is not known beforehand.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        candidates: ArchitectureTable,
        guide: str | None = None,
        report: str | None = None,
        lower: Sequence[str] = (),
    ):
        self.benchmark = benchmark
        self.guided_by = find_oracle(benchmark, guide)  # an unknown one is refused before any work
        self.judged_by = self.guided_by if report is None else find_oracle(benchmark, report)
        self._oracles = [self.guided_by, self.judged_by, *(find_oracle(benchmark, name) for name in lower)]
        self.guide_field, self.report_field = self.guided_by.field, self.judged_by.field
        self.known: np.ndarray = np.ones(len(candidates), dtype=bool)
        self.best_possible: float | None = None
        self._tables: list[np.ndarray] = []  # of each oracle
        if benchmark.tabular:
            tables = [benchmark.query_many(candidates, o.field, missing="nan", **o.options) for o in self._oracles]
            self.known = ~np.isnan(np.stack(tables)).any(axis=0)
            if not self.known.any():
                fields = " and ".join(repr(name) for name in dict.fromkeys(o.field for o in self._oracles))
                raise ValueError(f"{benchmark.name}: no candidate has {fields}")
            if not self.known.all():
                candidates = candidates[self.known]
                tables = [values[self.known] for values in tables]
            self._tables = tables
            self.best_possible = float(tables[1].max())
        self.candidates = candidates

    def guide(self, rows: list[int], candidates: ArchitectureTable | None = None) -> np.ndarray:
        """(n,) values that the search is told; candidates: with those that it has added, of a benchmark that computes
        its results.
        """
        return self._values(rows, 0, candidates)

    def at(self, level: int, rows: list[int], candidates: ArchitectureTable | None = None) -> np.ndarray:
        """(n,) values by a fidelity: the position among the lower ones, or the one after them for the guide."""
        return self._values(rows, level + 2 if level < len(self._oracles) - 2 else 0, candidates)

    def report(self, rows: list[int], candidates: ArchitectureTable | None = None) -> np.ndarray:
        """(n,) values that it is judged by."""
        return self._values(rows, 1, candidates)

    def _values(self, rows: list[int], which: int, candidates: ArchitectureTable | None) -> np.ndarray:
        if self._tables:
            return self._tables[which][rows]
        oracle = self._oracles[which]
        candidates = self.candidates if candidates is None else candidates
        return self.benchmark.query_many(candidates[np.asarray(rows)], oracle.field, **oracle.options)
