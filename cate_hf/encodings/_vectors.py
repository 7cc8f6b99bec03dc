"""What can be done with any encoder's vectors: similarity, neighbours, tables."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.encodings._nearest import nearest
from cate_hf.graphs._json_forms import GRAPH_NAMES
from cate_hf.graphs._table_arrow import column_from_arrow
from cate_hf.graphs.forms import held_columns
from cate_hf.graphs.table import ArchitectureTable

if TYPE_CHECKING:
    import pandas as pd
    import torch

METRICS = ("euclidean", "cosine")
_ALIKE = 1e-3  # distance, relative to a vector's length, below which an architecture may be the query itself


class VectorMethods(ABC):
    """Methods of encoders that have `encode`.

    Attributes:
        metric: the metric of `similarity` where none is named. Euclidean: of the bundled encoders none has nearer
            neighbours with more alike accuracies by cosine (docs/how_to/transformers.md).
    """

    encode: Callable[..., Any]
    metric = "euclidean"

    def similarity(self, a: Any, b: Any = None, metric: str | None = None) -> Any:
        """Compare each of some architectures with each of others; more is more alike.

        Args:
            a: vectors (N, D), an array or a tensor, or architectures, as `encode` takes them.
            b: others, M; `a` itself when None.
            metric: "cosine", or "euclidean": minus the distance; the encoder's own when None.

        Returns:
            (N, M) float32: a tensor where `a` or `b` is one, else an array.

        Raises:
            ValueError: no such metric, vectors of two lengths, or what `encode` raises.
        """
        first, second, as_tensor = self._both(a, b)
        result = _products(first, second) if self._metric(metric) == "cosine" else -_distances(first, second)
        return result if as_tensor else result.numpy()

    def similarity_pairwise(self, a: Any, b: Any, metric: str | None = None) -> Any:
        """Compare architectures row by row: (N,), as `similarity` of which this is the diagonal."""
        first, second, as_tensor = self._both(a, b)
        if len(first) != len(second):
            raise ValueError(f"similarity_pairwise: {len(first)} rows and {len(second)}; expected as many")
        first, second = first.unsqueeze(1), second.unsqueeze(1)
        result = _products(first, second) if self._metric(metric) == "cosine" else -_distances(first, second)
        result = result.flatten()
        return result if as_tensor else result.numpy()

    def neighbours(
        self,
        query: Any,
        table: Any,
        k: int = 10,
        encodings: np.ndarray | None = None,
    ) -> ArchitectureTable:
        """Find the architectures of a table that are nearest to one, itself (and what is isomorphic to it) left out.

        Args:
            query: one architecture, in any form that `encode` takes.
            table: to find them in, in any such form; its columns are kept.
            k: how many.
            encodings: (N, D) of the table, where they are at hand.

        Returns:
            At most k rows of the table, the nearest first, with a column distance (Euclidean).

        Raises:
            ValueError: k is below 1, `query` is not one architecture, or what `encode` raises.
        """
        vectors = self.encode(query)
        if len(vectors) != 1:
            raise ValueError(f"neighbours: the query must be one architecture, not {len(vectors)}")
        cell, table = self._as_table(query)[0], self._with_columns(table)
        encodings = self.encode(table) if encodings is None else np.asarray(encodings)
        near = _ALIKE * max(float(np.linalg.norm(vectors[0])), 1.0)
        rows, distances = nearest(encodings, vectors[0], k)
        while True:
            itself = [
                bool(d <= near) and table[int(r)].is_isomorphic(cell) for r, d in zip(rows, distances, strict=True)
            ]
            kept = ~np.array(itself, dtype=bool)
            if kept.sum() >= k or len(rows) == len(table):
                break
            rows, distances = nearest(encodings, vectors[0], min(2 * len(rows) + 1, len(table)))
        return table[rows[kept][:k]].with_columns(distance=distances[kept][:k])

    def encode_table(self, frame: "pd.DataFrame", column: str = "encoding", **options: Any) -> "pd.DataFrame":
        """Return a data frame with one more column: each row's encoding, an array (D,) float32.

        Args:
            frame: with columns that `encode` takes; all of its columns and its index are kept.
            column: name of the new one.
            **options: of `encode`.

        Raises:
            ValueError: a column is missing, or what `encode` raises.
        """
        if held_columns(frame) is None or not hasattr(frame, "assign"):
            raise ValueError(f"encode_table: expected a data frame of pandas, got {type(frame).__name__}")
        vectors = self.encode(frame, **options)
        return frame.assign(**{column: list(vectors)})

    @abstractmethod
    def _as_table(self, architectures: Any) -> ArchitectureTable:
        """Architectures in any form as `encode` sees them. Raises ValueError by row."""

    def _with_columns(self, architectures: Any) -> ArchitectureTable:
        """Architectures in any form as a table; the columns beside them are kept."""
        if isinstance(architectures, ArchitectureTable):
            return architectures
        held = held_columns(architectures)
        table = self._as_table(architectures if held is None else held)
        if held is None:
            return table
        names = [name for name in held.column_names if name not in GRAPH_NAMES]
        return table.replace_columns({name: column_from_arrow(held[name]) for name in names})

    def _metric(self, name: str | None) -> str:
        if name is not None and name not in METRICS:
            raise unknown("metric", name, METRICS)
        return name or self.metric

    def _both(self, a: Any, b: Any) -> "tuple[torch.Tensor, torch.Tensor, bool]":
        import torch

        as_tensor = isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor)
        found = []
        for some in (a,) if b is None else (a, b):
            numbers = isinstance(some, torch.Tensor) or (isinstance(some, np.ndarray) and some.dtype.kind in "fiu")
            vectors = some if numbers else self.encode(some)
            vectors = torch.as_tensor(vectors).float()
            found.append(vectors.unsqueeze(0) if vectors.ndim == 1 else vectors)
        if found[0].shape[-1] != found[-1].shape[-1]:
            raise ValueError(f"vectors of {found[0].shape[-1]} numbers and of {found[-1].shape[-1]} cannot be compared")
        return found[0], found[-1].to(found[0].device), as_tensor


def finished(encodings: np.ndarray, normalize: bool, convert_to_tensor: bool) -> Any:
    """Encodings (N, D) scaled to length 1, and as a tensor, where asked for."""
    if normalize:
        lengths = np.linalg.norm(encodings, axis=1, keepdims=True)
        encodings = encodings / np.maximum(lengths, np.finfo(np.float32).tiny)
    if not convert_to_tensor:
        return encodings
    import torch

    return torch.from_numpy(encodings)


def _products(a: "torch.Tensor", b: "torch.Tensor") -> "torch.Tensor":
    from torch.nn.functional import normalize

    return normalize(a, dim=-1) @ normalize(b, dim=-1).transpose(-1, -2)


def _distances(a: "torch.Tensor", b: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
