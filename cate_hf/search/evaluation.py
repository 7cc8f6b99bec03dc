"""What candidates score by a benchmark, for a search that is told one field and judged by another."""

import numpy as np

from cate_hf.benchmarks import Benchmark
from cate_hf.table import ArchitectureTable


class Evaluation:
    """Values of candidates by two fields of a benchmark, as arrays or computed when they are asked for.

    Args:
        benchmark: of the candidates' space.
        candidates: N architectures with a hash column. Of a table of results, those without a value are left out.
        guide_field, report_field: what the search is told, and what it is judged by.

    Attributes:
        candidates: those that remain.
        known: (N,) bool, which of the given ones they are.
        best_possible: the highest reported value among them, None where it is not known beforehand.
    """

    def __init__(self, benchmark: Benchmark, candidates: ArchitectureTable, guide_field: str, report_field: str):
        self.benchmark, self.guide_field, self.report_field = benchmark, guide_field, report_field
        self.known = np.ones(len(candidates), dtype=bool)
        self.best_possible: float | None = None
        self._tables: dict[str, np.ndarray] = {}
        for field in (guide_field, report_field):
            benchmark.oracle(field)  # an unknown field is refused before any work
        if benchmark.tabular:
            tables = {f: benchmark.query_many(candidates, f, missing="nan") for f in {guide_field, report_field}}
            self.known = ~np.isnan(list(tables.values())).any(axis=0)
            if not self.known.any():
                raise ValueError(f"{benchmark.name}: no candidate has both {guide_field!r} and {report_field!r}")
            if not self.known.all():
                candidates = candidates[self.known]
                tables = {field: values[self.known] for field, values in tables.items()}
            self._tables = tables
            self.best_possible = float(tables[report_field].max())
        self.candidates = candidates

    def guide(self, rows: list[int]) -> np.ndarray:
        """(n,) values that the search is told."""
        return self._values(rows, self.guide_field)

    def report(self, rows: list[int]) -> np.ndarray:
        """(n,) values that it is judged by."""
        return self._values(rows, self.report_field)

    def _values(self, rows: list[int], field: str) -> np.ndarray:
        if field in self._tables:
            return self._tables[field][rows]
        return self.benchmark.query_many(self.candidates[np.asarray(rows)], field)
