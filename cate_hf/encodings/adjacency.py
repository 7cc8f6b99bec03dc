"""The one-hot adjacency encoding (White et al., "A Study on Encodings for NAS", NeurIPS 2020, section 3)."""

import numpy as np

from cate_hf.spaces import get_space
from cate_hf.table import PADDING, ArchitectureTable


class AdjacencyEncoding:
    """Upper triangle of the adjacency matrix, then the interior operations one-hot: 21 + 5 × 3 = 36 numbers for
    NAS-Bench-101. In smaller cells the output moves to the last position, and the positions before it are empty.

    Isomorphic drawings of a cell get different vectors: the encoding depends on the order of the vertices.
    """

    def __init__(self, space: str):
        self.space = get_space(space)
        size, inputs = self.space.max_nodes, self.space.num_inputs
        self._interior = np.arange(inputs, len(self.space.vocabulary) - 1)
        self.dim = size * (size - 1) // 2 + (size - inputs - 1) * len(self._interior)

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        table = self.space.table(table).widen(self.space.max_nodes)
        size, inputs = self.space.max_nodes, self.space.num_inputs
        rows, last = np.arange(len(table)), table.num_nodes.astype(np.intp) - 1
        adjacency, codes = table.adjacency(), table.operation_codes.copy()
        into_output = adjacency[rows, :, last].copy()
        adjacency[rows, :, last] = 0
        adjacency[:, :, -1] = into_output
        codes[rows, last] = PADDING
        edges = adjacency[:, *np.triu_indices(size, 1)]
        operations = codes[:, inputs : size - 1, None] == self._interior
        return np.concatenate([edges, operations.reshape(len(table), -1)], axis=1).astype(np.float32)
