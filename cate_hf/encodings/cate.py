"""Encodings by a CATE checkpoint."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.progress import progress_bar
from cate_hf.table import ArchitectureTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cate_hf.architecture import Architecture


class Encoder:
    """A model and its tokenizer: architectures in, vectors out. `cate_hf.load_encoder` makes one.

    Attributes:
        model: the `CateModel`, in evaluation mode.
        tokenizer: its `CateTokenizer`.
        space: name of the search space that it was trained on.
        dim: D, the length of an encoding.
    """

    def __init__(self, model, tokenizer, device: str | None = None) -> None:
        import torch

        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(device)
        self.tokenizer = tokenizer
        operations, expected = list(tokenizer.operations), list(model.config.operations)
        if operations != expected:
            raise ValueError(f"the tokenizer's operations are {operations}, the model's {expected}")

    @property
    def space(self) -> str:
        return self.model.config.space

    @property
    def dim(self) -> int:
        return self.model.config.hidden_size

    def encode(
        self,
        architectures: Any,
        batch_size: int = 1024,
        progress: bool = False,
        on_batch: "Callable[[int], None] | None" = None,
    ) -> np.ndarray:
        """Encode architectures, in their order.

        Args:
            architectures: an `ArchitectureTable` (fastest), an iterable of `Architecture` or of dicts with operations
                and adjacency, or one of these alone, which gives one row.
            batch_size: architectures at a time; bounds the memory.
            progress: draw a progress bar.
            on_batch: called with the number of architectures of each batch that is done.

        Returns:
            (N, D) float32.

        Raises:
            ValueError: an operation of another space, or more nodes than the model knows; the row is named.
        """
        table = self._as_table(architectures)
        encodings = np.empty((len(table), self.dim), dtype=np.float32)
        with progress_bar("encoding", len(table), "cells", progress) as advance:
            for start, part in self._batches(table, batch_size):
                encodings[start : start + len(part)] = part
                (on_batch or advance)(len(part))
        return encodings

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        """(N, D) float32: `encode` under the name that all encodings share."""
        return self.encode(table)

    def _as_table(self, architectures: "ArchitectureTable | Iterable[Architecture | Mapping] | Architecture | Mapping"):
        """Architectures as a table over the model's operations. Raises ValueError as `encode`."""
        from cate_hf.architecture import Architecture

        if isinstance(architectures, ArchitectureTable):
            table = architectures.replace_columns({}).recode(self.tokenizer.operations, "architectures,")
        else:
            if isinstance(architectures, Architecture | dict):
                architectures = [architectures]
            items = []
            for row, item in enumerate(architectures):
                try:
                    items.append(item if isinstance(item, Architecture) else Architecture.from_dict(item))
                except (ValueError, TypeError, AttributeError) as error:
                    raise ValueError(f"row {row}: {error}") from None
            table = ArchitectureTable.from_architectures(items, self.tokenizer.operations)
        most = self.model.config.max_nodes
        if int(table.num_nodes.max(initial=0)) > most:
            row = int(np.argmax(table.num_nodes > most))
            raise ValueError(
                f"row {row}: {table.num_nodes[row]} nodes; architectures of {self.space} have at most {most}"
            )
        return table

    def _batches(self, table: ArchitectureTable, batch_size: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, (n, D) float32) for one batch after the other."""
        import torch

        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        for start in range(0, len(table), batch_size):
            batch = self.tokenizer(table[start : start + batch_size], return_tensors="pt").to(self.model.device)
            with torch.inference_mode():
                yield start, self.model(**batch).pooler_output.float().cpu().numpy()

    def __repr__(self) -> str:
        return f"<encoder of {self.space}: {self.dim} numbers an architecture, on {self.model.device}>"
