"""The cells of NAS-Bench-101 as the published files name and draw them."""

import numpy as np

from cate_hf.benchmarks.nasbench101._records import Record
from cate_hf.graphs._hashes import HashIndex
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.hashing import cell_hash
from cate_hf.graphs.table import PADDING
from cate_hf.spaces import get_space

# The labels that the published hash is of.
_HASH_LABELS = {"input": -1, "conv3x3-bn-relu": 0, "conv1x1-bn-relu": 1, "maxpool3x3": 2, "output": -2}


class BenchmarkCells:
    """All cells, sorted by hash; a cell is known by its row.

    Attributes:
        hashes: (N,) text; num_nodes: (N,); edge_bits: (N, 3) uint8, as in `ArchitectureTable`.
        operations: (N,) which of the K operation texts a cell has.
        operation_texts: (K, W) uint8, "input,...,output" in ASCII, zeros after its end; operation_lengths: (K,).
    """

    def __init__(self, progress: bool = False):
        table = get_space("nasbench101").enumerate(progress=progress)
        self.table = table
        self.hashes, self.num_nodes, self.edge_bits = table.columns["hash"], table.num_nodes, table.edge_bits
        self._index = HashIndex(self.hashes)
        base = len(table.vocabulary) + 1
        digits = np.where(table.operation_codes == PADDING, base - 1, table.operation_codes).astype(np.int64)
        keys = digits @ base ** np.arange(digits.shape[1])
        _, first, self.operations = np.unique(keys, return_index=True, return_inverse=True)
        texts = [",".join(table[row].operations).encode() for row in first.tolist()]
        self.operation_lengths = np.array([len(text) for text in texts])
        self.operation_texts = np.array(texts).view(np.uint8).reshape(len(texts), -1)
        # Row -> a drawing other than the enumeration's that has been found to have the cell's hash.
        self._other_drawings: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n,) of hashes (n,), and whether each is that of a cell (n,) bool; where it is not, a row is any."""
        rows = self._index.rows(hashes)
        return np.maximum(rows, 0), rows >= 0

    def row(self, hash_: str) -> int:
        """The row of one hash. Raises ValueError where no cell has it."""
        rows, known = self.find(np.array([hash_]))
        if not known[0]:
            raise ValueError(f"no cell of NAS-Bench-101 has the hash {hash_!a}")
        return int(rows[0])

    def check_drawing(self, row: int, record: Record) -> None:
        """Compare a record's adjacency and operations with its hash.

        Raises:
            ValueError: they are not of the cell with that hash.
        """
        drawing = hash((record.adjacency, record.operations))
        if self._other_drawings.get(row) == drawing:
            return
        cell = self.table[row]
        operations = record.operations.split(",")
        drawn = np.frombuffer(record.adjacency.encode(), dtype=np.uint8).reshape(len(operations), -1) & 1
        if list(cell.operations) == operations and np.array_equal(cell.adjacency, drawn):
            return
        unknown = set(operations) - set(_HASH_LABELS)
        if unknown:
            raise ValueError(f"unknown operation {min(unknown)!a}, known are {', '.join(_HASH_LABELS)}")
        if cell_hash(drawn, [_HASH_LABELS[name] for name in operations]) != record.hash:
            self._check_pruned(Architecture(operations, drawn), record.hash)
        self._other_drawings[row] = drawing

    def _check_pruned(self, architecture: Architecture, expected: str) -> None:
        try:
            found = get_space("nasbench101").hash(architecture)
        except ValueError as error:
            raise ValueError(f"its cell is not of NAS-Bench-101: {error}") from None
        if found != expected:
            raise ValueError(f"its hash is {expected}, its cell has {found}")


_KEPT: list[BenchmarkCells] = []


def benchmark_cells(progress: bool = False) -> BenchmarkCells:
    """The one instance of a process: the enumeration is read, or made, at the first call.

    Args:
        progress: draw a progress bar while the enumeration is made.
    """
    if not _KEPT:
        _KEPT.append(BenchmarkCells(progress))
    return _KEPT[0]
