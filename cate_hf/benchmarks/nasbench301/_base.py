"""What every oracle of NAS-Bench-301 offers; see `cate_hf.benchmarks.nasbench301.benchmark`."""

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cate_hf.benchmarks.base import Benchmark, Result
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import get_space
from cate_hf.spaces.darts.pairs import CellPairTable, Cells, read_cells, reliable, why_unreliable

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.spaces.darts.genotypes import CellPair
    from cate_hf.spaces.darts.space import Darts

    Architectures = ArchitectureTable | CellPairTable | Sequence[Architecture | CellPair | str]

LAST_EPOCH = 98
WORDS = {"validation_accuracy": "validation accuracy", "runtime_seconds": "seconds of training"}
"""Field -> what it is."""


class NasBench301Warning(UserWarning):
    """A prediction of NAS-Bench-301 is not to be relied on."""


class NasBench301(Benchmark):
    """What the three kinds share. An architecture is a cell, used as normal and as reduction cell, or a `CellPair`."""

    name = "nasbench301"
    space_name = "darts"
    space: "Darts"

    def __init__(self, path: Path, oracles: dict[str, str]):
        self.path, self.space, self.oracles = path, cast("Darts", get_space("darts")), oracles
        self._warned = False

    @property
    def fields(self) -> list[str]:
        return list(self.oracles)

    def query(
        self, architecture: "Architecture | CellPair | str", field: str | None = None, epoch: int = LAST_EPOCH
    ) -> "Result | float":
        """All that is predicted of an architecture, in any drawing, or in text that the space's `parse_pair` reads; or
        one field of it. Accuracies are in [0, 1], times in seconds.

        Warns once (`NasBench301Warning`) where predictions are not reliable.

        Args:
            epoch: 1 to 98; of the ONNX surrogate only.

        Raises:
            ValueError: not an architecture of the space, not in a table of labels, or no such field.
        """
        cells = read_cells(self.space, [architecture])
        self._check_epoch(epoch)
        fields = self.fields
        if field is not None:
            self._check_field(field)
            fields = [field]
        values = self._predict(cells, fields, epoch, progress=False)
        known = Result({name: values[name][0].item() for name in fields if not np.isnan(values[name][0])})
        reason = why_unreliable(cells)
        if reason is not None and not self._warned:
            self._warned = True
            warnings.warn(self._warning(reason), NasBench301Warning, stacklevel=2)
        return known if field is None else known[field]

    def query_many(
        self,
        architectures: "Architectures",
        field: str = "validation_accuracy",
        missing: str = "raise",
        reduction: "ArchitectureTable | Sequence[Architecture] | None" = None,
        epoch: int = LAST_EPOCH,
        progress: bool = False,
    ) -> np.ndarray:
        """(N,) float64 of one field.

        Args:
            architectures: pairs of cells, or single cells: the normal ones where `reduction` is given, else both.
            missing: what to do where a table of labels has no value for the field: "raise", or "nan".
            reduction: the reduction cells.
            epoch: as of `query`.
            progress: draw a progress bar.

        Raises:
            ValueError: naming the first row that is not of the space, or not in a table of labels.
        """
        self._check_field(field)
        self._check_epoch(epoch)
        values = self._predict(read_cells(self.space, architectures, reduction), [field], epoch, progress)[field]
        return self._present(values, field, missing)

    @abstractmethod
    def _predict(self, cells: Cells, fields: list[str], epoch: int, progress: bool) -> dict[str, np.ndarray]:
        """(N,) float64 of each field."""

    def reliable_many(
        self, architectures: "Architectures", reduction: "ArchitectureTable | Sequence[Architecture] | None" = None
    ) -> np.ndarray:
        """(N,) bool: whether there was enough like an architecture to learn from.

        There was not where a cell has 6 or more skip_connect of its 8 operations, or both cells together have 14 or
        more of their 16 without parameters (pooling and skip_connect): each fewer than 0.1 % of uniformly drawn
        genotypes of two cells. A cell of nothing but skip_connect is there, which the ONNX surrogate rates above the
        mean of random cells.
        """
        return reliable(read_cells(self.space, architectures, reduction))

    def check_best(self, architecture: "Architecture | CellPair") -> str | None:
        reason = why_unreliable(read_cells(self.space, [architecture]))
        return None if reason is None else self._warning(reason)

    def _warning(self, reason: str) -> str:
        return (
            f"{reason}: fewer than 0.1 % of random genotypes of two cells are like that, and predictions for them are "
            "not reliable (NAS-Bench-301's surrogates rate degenerate cells too high)"
        )

    def _check_epoch(self, epoch: int) -> None:
        if epoch != LAST_EPOCH:
            raise ValueError(f"{self.path}: knows the end of training only; epoch is for the ONNX surrogate")


class Surrogate(NasBench301):
    """Predictions that are made when asked for."""

    tabular = False

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        raise TypeError(f"{self!r} predicts any architecture; it has no number of them")

    def rows(self, architectures: Any, reduction: Any = None) -> np.ndarray:
        raise ValueError(f"{self!r} predicts any architecture; it has no rows")

    def best(self, field: str | None = None) -> tuple[str, float]:
        raise ValueError(f"{self!r} predicts any architecture; which is the best is not known")
