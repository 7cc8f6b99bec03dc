"""Many architectures as arrays: ``ArchitectureTable``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cate_hf.graphs._hashes import hash_text
from cate_hf.graphs.architecture import Architecture

PADDING = 255
"""Operation code of an unused position."""
MAX_NODES = 1024
"""Of an architecture."""
_ENTRIES = 1 << 26  # of adjacency matrices at a time


@lru_cache(16)
def edge_positions(max_nodes: int) -> np.ndarray:
    """Where edge bit b lies in a flattened (L, L) adjacency matrix: (L(L-1)/2,). Edge x -> y is bit x + y(y-1)/2."""
    y, x = np.tril_indices(max_nodes, -1)
    positions = (x * max_nodes + y).astype(np.intp)
    positions.flags.writeable = False
    return positions


def pack_edges(adjacency: np.ndarray) -> np.ndarray:
    """(N, L, L) of 0/1, upper triangular -> (N, ceil(L(L-1)/2 / 8)) uint8, the lowest edge number in the lowest bit."""
    n, size = adjacency.shape[:2]
    bits = adjacency.reshape(n, size * size)[:, edge_positions(size)]
    return np.packbits(bits.astype(bool), axis=1, bitorder="little")


def parts_of(rows: int, max_nodes: int, most: int = 1 << 16) -> list[tuple[int, int]]:
    """Start and stop of parts of rows whose adjacency matrices (n, L, L) fit into 64 MiB; one part of no rows."""
    size = max(1, min(most, _ENTRIES // max(max_nodes, 1) ** 2))
    return [(start, min(start + size, rows)) for start in range(0, max(rows, 1), size)]


def unpack_edges(edge_bits: np.ndarray, max_nodes: int) -> np.ndarray:
    """The inverse of ``pack_edges``: (N, bytes) uint8 -> (N, L, L) uint8."""
    positions = edge_positions(max_nodes)
    adjacency = np.zeros((len(edge_bits), max_nodes * max_nodes), dtype=np.uint8)
    adjacency[:, positions] = np.unpackbits(edge_bits, axis=1, count=len(positions), bitorder="little")
    return adjacency.reshape(-1, max_nodes, max_nodes)


class ArchitectureTable(Sequence):
    """N architectures over one vocabulary, of at most L nodes each, and any columns beside them.

    ``table[3]`` is an ``Architecture``; a slice, an index array or a boolean mask gives another table. Tables do not
    change: the methods give new ones, which may share memory with the old.

    Attributes:
        vocabulary: names of the operations.
        operation_codes: (N, L) uint8, positions in the vocabulary; ``PADDING`` (255) after the last node.
        edge_bits: (N, ceil(L(L-1)/2 / 8)) uint8; edge x -> y (x < y) is bit x + y(y-1)/2, lowest bit first.
        num_nodes: (N,) uint16.
        columns: name -> array with N along its first axis; ``hash`` is text (<U32).
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        operation_codes: np.ndarray,
        edge_bits: np.ndarray,
        num_nodes: np.ndarray,
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        """Take arrays that are already packed and known to be sound; ``from_arrays`` checks and packs."""
        self.vocabulary = tuple(vocabulary)
        self.operation_codes = operation_codes
        self.edge_bits = edge_bits
        self.num_nodes = num_nodes.astype(np.uint16, copy=False)
        self.columns = {name: _column(name, values, len(num_nodes)) for name, values in (columns or {}).items()}

    @classmethod
    def from_arrays(
        cls,
        vocabulary: Sequence[str],
        operation_codes: np.ndarray,
        adjacency: np.ndarray,
        columns: Mapping[str, Any] | None = None,
        source: str = "table",
        first_row: int = 0,
    ) -> ArchitectureTable:
        """Check and pack.

        Args:
            vocabulary: names of the operations, each once.
            operation_codes: (N, L) positions in the vocabulary, 255 after the last node of each row.
            adjacency: (N, L, L) of 0/1, upper triangular, zero outside the nodes.
            columns: name -> array of N.
            source, first_row: what the errors call the table and its first row, where it is a part of a larger one.

        Raises:
            ValueError: naming the row, and the node or edge, of the first thing that is wrong.
        """
        vocabulary = tuple(vocabulary)
        if len(set(vocabulary)) != len(vocabulary) or len(vocabulary) > PADDING:
            raise ValueError(
                f"{source}: the vocabulary needs at most {PADDING} operations, each once, got {vocabulary}"
            )
        codes, adjacency = np.asarray(operation_codes), np.asarray(adjacency)
        if codes.ndim != 2 or adjacency.shape != (*codes.shape, codes.shape[1]):
            raise ValueError(
                f"{source}: expected codes (N, L) and adjacency (N, L, L), got {codes.shape} and {adjacency.shape}"
            )
        if codes.shape[1] > MAX_NODES:
            raise ValueError(f"{source}: architectures have at most {MAX_NODES} nodes, got {codes.shape[1]}")
        used = codes != PADDING
        num_nodes = used.sum(axis=1)
        positions = np.arange(codes.shape[1])
        _refuse_first(
            used != (positions < num_nodes[:, None]), source, lambda r, v: f"padding before node {v}", first_row
        )
        _refuse_first(
            used & ~((codes >= 0) & (codes < len(vocabulary))),
            source,
            lambda r, v: f"node {v} has operation code {codes[r, v]}, the vocabulary has {len(vocabulary)} operations",
            first_row,
        )
        _refuse_first(
            num_nodes < 2, source, lambda r: f"an architecture needs at least 2 nodes, got {num_nodes[r]}", first_row
        )
        _check_edges(adjacency, num_nodes, source, first_row)
        return cls(vocabulary, codes.astype(np.uint8), pack_edges(adjacency), num_nodes, columns)

    @classmethod
    def from_architectures(
        cls,
        architectures: Sequence[Architecture],
        vocabulary: Sequence[str] | None = None,
        columns: Mapping[str, Any] | None = None,
    ) -> ArchitectureTable:
        """A table of a few architectures; the vocabulary is that of the first appearances when None.

        Raises:
            ValueError: an operation is not in the vocabulary.
        """
        architectures = list(architectures)
        if vocabulary is None:
            vocabulary = [*dict.fromkeys(name for arch in architectures for name in arch.operations)]
        vocabulary = tuple(vocabulary)
        code = {name: i for i, name in enumerate(vocabulary)}
        size = max((arch.num_nodes for arch in architectures), default=2)
        codes = np.full((len(architectures), size), PADDING, dtype=np.uint8)
        bits = []
        for start, stop in parts_of(len(architectures), size):
            adjacency = np.zeros((stop - start, size, size), dtype=np.uint8)
            for row, arch in enumerate(architectures[start:stop], start):
                n = arch.num_nodes
                try:
                    codes[row, :n] = [code[name] for name in arch.operations]
                except KeyError as error:
                    raise ValueError(f"row {row}: {unknown_operation(error.args[0], vocabulary)}") from None
                adjacency[row - start, :n, :n] = arch.adjacency
            bits.append(pack_edges(adjacency))
        return cls(vocabulary, codes, np.concatenate(bits), (codes != PADDING).sum(axis=1), columns)

    @classmethod
    def concatenate(cls, tables: Sequence[ArchitectureTable]) -> ArchitectureTable:
        """The rows of all tables; the vocabulary is the union. Raises ValueError unless all have the same columns."""
        tables = list(tables)
        if not tables:
            raise ValueError("concatenate: no tables given")
        for i, table in enumerate(tables):
            if set(table.columns) != set(tables[0].columns):
                raise ValueError(
                    f"concatenate: table {i} has columns {sorted(table.columns)}, "
                    f"table 0 has {sorted(tables[0].columns)}"
                )
        vocabulary = tuple(dict.fromkeys(name for table in tables for name in table.vocabulary))
        size = max(table.max_nodes for table in tables)
        tables = [table.recode(vocabulary).widen(size) for table in tables]
        return cls(
            vocabulary,
            np.concatenate([table.operation_codes for table in tables]),
            np.concatenate([table.edge_bits for table in tables]),
            np.concatenate([table.num_nodes for table in tables]),
            {name: np.concatenate([table.columns[name] for table in tables]) for name in tables[0].columns},
        )

    @property
    def max_nodes(self) -> int:
        """L, the number of positions of each row."""
        return self.operation_codes.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes in memory, columns included."""
        arrays = (self.operation_codes, self.edge_bits, self.num_nodes, *self.columns.values())
        return sum(array.nbytes for array in arrays)

    def adjacency(self, rows: Any = None) -> np.ndarray:
        """Adjacency matrices (n, L, L) uint8 of the rows given by a slice, index array or mask; of all when None."""
        return unpack_edges(self.edge_bits if rows is None else self.edge_bits[rows], self.max_nodes)

    def __len__(self) -> int:
        return len(self.num_nodes)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, int | np.integer):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of a table of {len(self)} architectures")
            rows = int(rows) % len(self)
            return next(iter(self[rows : rows + 1]))
        rows = rows if isinstance(rows, slice) else np.asarray(rows)
        if isinstance(rows, np.ndarray) and rows.size == 0 and rows.dtype != bool:
            rows = rows.astype(np.intp)
        return ArchitectureTable(
            self.vocabulary,
            self.operation_codes[rows],
            self.edge_bits[rows],
            self.num_nodes[rows],
            {name: values[rows] for name, values in self.columns.items()},
        )

    def __iter__(self) -> Iterator[Architecture]:
        for start, stop in parts_of(len(self), self.max_nodes, 1024):
            part = slice(start, stop)
            for n, codes, matrix in zip(
                self.num_nodes[part].tolist(), self.operation_codes[part], self.adjacency(part), strict=True
            ):
                yield Architecture([self.vocabulary[code] for code in codes[:n].tolist()], matrix[:n, :n])

    def __repr__(self) -> str:
        columns = ", ".join(self.columns) or "none"
        return f"ArchitectureTable({len(self)} architectures of at most {self.max_nodes} nodes; columns: {columns})"

    def with_columns(self, **columns: Any) -> ArchitectureTable:
        """The same architectures with columns added or replaced."""
        return self.replace_columns({**self.columns, **columns})

    def replace_columns(self, columns: Mapping[str, Any]) -> ArchitectureTable:
        """The same architectures with these columns and no others."""
        return ArchitectureTable(self.vocabulary, self.operation_codes, self.edge_bits, self.num_nodes, columns)

    def recode(self, vocabulary: Sequence[str], source: str = "table") -> ArchitectureTable:
        """The same architectures over another vocabulary, which must have every operation that is used.

        Raises:
            ValueError: naming the row and node of the first operation that it lacks.
        """
        vocabulary = tuple(vocabulary)
        if vocabulary == self.vocabulary:
            return self
        # 255 stays for the padding, so an operation that the new vocabulary lacks gets 254: checked first.
        code = np.full(256, PADDING, dtype=np.uint8)
        known = np.zeros(256, dtype=bool)
        known[PADDING] = True
        for old, name in enumerate(self.vocabulary):
            if name in vocabulary:
                code[old], known[old] = vocabulary.index(name), True
        _refuse_first(
            ~known[self.operation_codes],
            source,
            lambda r, v: f"node {v}: {unknown_operation(self.vocabulary[self.operation_codes[r, v]], vocabulary)}",
        )
        return ArchitectureTable(vocabulary, code[self.operation_codes], self.edge_bits, self.num_nodes, self.columns)

    def widen(self, max_nodes: int) -> ArchitectureTable:
        """The same architectures with ``max_nodes`` positions a row. Raises ValueError if some have more nodes."""
        if max_nodes < int(self.num_nodes.max(initial=0)):
            raise ValueError(f"table: rows have up to {self.num_nodes.max()} nodes, more than {max_nodes}")
        codes = np.full((len(self), max_nodes), PADDING, dtype=np.uint8)
        edges = np.zeros((len(self), (max_nodes * (max_nodes - 1) // 2 + 7) // 8), dtype=np.uint8)
        width, bytes_ = min(max_nodes, self.max_nodes), min(edges.shape[1], self.edge_bits.shape[1])
        codes[:, :width] = self.operation_codes[:, :width]
        edges[:, :bytes_] = self.edge_bits[:, :bytes_]
        return ArchitectureTable(self.vocabulary, codes, edges, self.num_nodes, self.columns)


def _column(name: str, values: Any, n: int) -> np.ndarray:
    values = hash_text(values) if name == "hash" else np.asarray(values)
    if values.ndim == 0 or len(values) != n:
        raise ValueError(f"column {name!r}: expected {n} values, one a row, got shape {values.shape}")
    return values


def unknown_operation(name: Any, vocabulary: Sequence[str]) -> str:
    """The message for an operation outside the vocabulary."""
    return f"unknown operation {name!r:.80}, known are {', '.join(vocabulary)}"


def _refuse_first(wrong: np.ndarray, source: str, describe: Any, first_row: int = 0) -> None:
    """Raise for the first true entry of ``wrong``, whose first axis is the rows, counted from ``first_row``."""
    if wrong.any():
        position = [int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape)]
        raise ValueError(f"{source}, row {first_row + position[0]}: {describe(*position)}")


def _check_edges(adjacency: np.ndarray, num_nodes: np.ndarray, source: str, first_row: int = 0) -> None:
    """Raise ValueError for entries other than 0 and 1, self-loops, backward edges and edges outside the nodes."""
    _refuse_first(
        ~((adjacency == 0) | (adjacency == 1)),
        source,
        lambda r, x, y: f"adjacency[{x}][{y}] must be 0 or 1, got {adjacency[r, x, y]}",
        first_row,
    )
    size = adjacency.shape[1]
    _refuse_first(
        np.tril(adjacency != 0),
        source,
        lambda r, x, y: (
            f"node {x} has an edge to itself"
            if x == y
            else f"edge {x} -> {y} goes backward, nodes must be in topological order"
        ),
        first_row,
    )
    outside = np.arange(size) >= np.asarray(num_nodes)[:, None]
    _refuse_first(
        (adjacency != 0) & outside[:, None, :],
        source,
        lambda r, x, y: f"edge {x} -> {y} leaves the architecture of {num_nodes[r]} nodes",
        first_row,
    )
