"""Architectures as vectors, by name: `get_encoding(name, space).transform(table) -> (N, D) float32`."""

import importlib
from typing import Protocol

import numpy as np

from cate_hf.names import unknown
from cate_hf.table import ArchitectureTable

_ENCODINGS = {"adjacency": "cate_hf.encodings.adjacency:AdjacencyEncoding"}


class Encoding(Protocol):
    """What an encoding offers."""

    dim: int

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        """(N, dim) float32."""
        ...


def encoding_names() -> list[str]:
    return sorted(_ENCODINGS)


def get_encoding(name: str, space: str) -> Encoding:
    """A fixed encoding of a space. Checkpoints are loaded by `cate_hf.load_encoder`, not here.

    Raises:
        ValueError: no encoding of that name.
    """
    if name not in _ENCODINGS:
        raise unknown("encoding", name, _ENCODINGS)
    module, class_name = _ENCODINGS[name].split(":")
    return getattr(importlib.import_module(module), class_name)(space)
