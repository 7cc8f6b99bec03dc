"""NAS-Bench-101 (Ying et al., ICML 2019): cells of at most 7 vertices and 9 edges with 3 operations."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._progress import progress_bar
from cate_hf.graphs.hashing import cell_hashes
from cate_hf.graphs.table import PADDING, ArchitectureTable
from cate_hf.spaces.base import Space
from cate_hf.spaces.nasbench101 import _cells as nasbench101_cells
from cate_hf.spaces.nasbench101 import _costs as nasbench101_network

__all__ = ["SPACE"]

if TYPE_CHECKING:
    import torch

    from cate_hf.graphs.architecture import Architecture

# The labels that the benchmark hashes, in the order of the vocabulary.
_HASH_LABELS = np.array([-1, 1, 0, 2, -2])


class NasBench101(Space):
    """The cell space of NAS-Bench-101, with the costs of its CIFAR-10 network."""

    name = "nasbench101"
    version = "1"
    vocabulary = ("input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output")
    max_nodes = 7
    max_edges = 9
    size = 423_624
    most_paths = 8
    pairing = {"cost": "parameters", "window": 2_000_000, "partners": 2}
    small_network = {"channels": 16, "cells": 2, "classes": 10}

    def hash_many(self, table: ArchitectureTable, on_progress=None) -> np.ndarray:
        table = self.canonical(self.table(table))
        labels = _HASH_LABELS[np.where(table.operation_codes == PADDING, 0, table.operation_codes)]
        return cell_hashes(table.adjacency(), labels, table.num_nodes, on_progress)

    def _cost(self, table: ArchitectureTable, name: str) -> np.ndarray:
        return nasbench101_network.costs(table)[self.cost_names.index(name)]

    def _enumerate(self, progress: bool) -> ArchitectureTable:
        codes, adjacency = nasbench101_cells.all_cells(self.max_nodes, self.max_edges)
        table = ArchitectureTable.from_arrays(self.vocabulary, codes, adjacency, source=self.name)
        with progress_bar("hashing cells", len(table), "cells", progress) as advance:
            hashes = self.hash_many(table, advance)
        order = np.argsort(hashes)
        parameters, flops = nasbench101_network.costs(table)
        columns = {"hash": hashes, "parameters": parameters, "flops": flops}
        return table.with_columns(**columns)[order]

    def build(self, architecture: "Architecture", **settings: Any) -> "torch.nn.Module":
        from cate_hf.spaces.nasbench101._network import build_nasbench101

        return build_nasbench101(self.validate(architecture), **settings)


SPACE = NasBench101
