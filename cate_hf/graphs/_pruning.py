"""Tables without the nodes that are on no path from an input to the output, by array operations."""

from functools import lru_cache

import numpy as np

from cate_hf.graphs.table import PADDING, ArchitectureTable, edge_positions, pack_edges, parts_of

_CHUNK = 65_536
_MOST_MASKED = 256  # nodes, whose masks of edges take 2 MiB


def prune_many(table: ArchitectureTable, num_inputs: int | np.ndarray = 1) -> ArchitectureTable:
    """Apply `Architecture.prune` to every row. Inputs and output stay, and are all that is left where no path joins
    them. The same table where there is nothing to prune, which takes about a microsecond a row to see.

    Args:
        num_inputs: the first nodes that are inputs, one number for all rows or (N,).
    """
    inputs = np.broadcast_to(num_inputs, len(table))
    dirty = np.concatenate([np.zeros(0, np.intp), *(part for part in _dirty_rows(table, inputs))])
    if not len(dirty):
        return table
    codes, edges, counts = table.operation_codes.copy(), table.edge_bits.copy(), table.num_nodes.copy()
    for start, stop in parts_of(len(dirty), table.max_nodes):
        rows = dirty[start:stop]
        codes[rows], edges[rows], counts[rows] = _pruned(table[rows], inputs[rows])
    return ArchitectureTable(table.vocabulary, codes, edges, counts, table.columns)


def _dirty_rows(table: ArchitectureTable, inputs: np.ndarray):
    """The rows with a node between inputs and output that nothing feeds, or that feeds nothing. Nodes are in
    topological order, so where there is none all others are on a path.
    """
    if table.max_nodes > _MOST_MASKED:  # to look takes as long as to prune
        yield np.arange(len(table))
        return
    into, out_of = _edges_of_nodes(table.max_nodes)
    for start in range(0, len(table), _CHUNK):
        part = slice(start, start + _CHUNK)
        bits, counts, first = table.edge_bits[part], table.num_nodes[part], inputs[part]
        dirty = np.zeros(len(bits), dtype=bool)
        for node in range(table.max_nodes):
            fed, feeds = ((bits & masks[node]).any(axis=1) for masks in (into, out_of))
            dirty |= (node >= first) & ((node < counts) & ~fed | (node < counts.astype(int) - 1) & ~feeds)
        yield np.flatnonzero(dirty) + start


@lru_cache
def _edges_of_nodes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Packed masks (L, bytes) of the edges into each node, and of those out of it."""
    source, target = np.divmod(edge_positions(size), size)
    nodes = np.arange(size)[:, None]
    into, out_of = (np.packbits(ends == nodes, axis=1, bitorder="little") for ends in (target, source))
    return into, out_of


def _pruned(table: ArchitectureTable, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operation codes, edge bits and numbers of nodes of rows whose other nodes are left out."""
    adjacency, positions = table.adjacency().astype(bool), np.arange(table.max_nodes)
    from_input = positions < inputs[:, None]
    to_output = positions == table.num_nodes[:, None].astype(int) - 1
    ends = (from_input & (positions < table.num_nodes[:, None])) | to_output
    for node in positions:  # in topological order: one pass each way is enough
        from_input[:, node] |= (from_input & adjacency[:, :, node]).any(axis=1)
        back = positions[-1] - node
        to_output[:, back] |= (to_output & adjacency[:, back]).any(axis=1)
    live = (from_input & to_output) | ends
    order = np.argsort(~live, axis=1, kind="stable")
    counts = live.sum(axis=1)
    used = positions < counts[:, None]
    codes = np.where(used, np.take_along_axis(table.operation_codes, order, axis=1), PADDING).astype(np.uint8)
    row = np.arange(len(table))[:, None, None]
    kept = adjacency[row, order[:, :, None], order[:, None, :]] & used[:, :, None] & used[:, None, :]
    return codes, pack_edges(kept), counts.astype(np.uint16)
