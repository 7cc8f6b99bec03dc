"""Whether many architectures are of a search space."""

import numpy as np

from cate_hf.spaces import Space
from cate_hf.table import PADDING, ArchitectureTable

CHUNK = 65_536


def validate_table(space: Space, table: ArchitectureTable, source: str) -> ArchitectureTable:
    """`space.validate` of every row: the same table without nodes that are on no path from input to output.

    Rows that need a closer look are found by array operations; only they are looked at one by one.

    Args:
        source: what the errors call the table.

    Raises:
        ValueError: naming the first row that is not of the space, and why.
    """
    table = space.table(table, source)
    parts = [_needs_a_look(space, table[start : start + CHUNK]) for start in range(0, len(table), CHUNK)]
    rows = np.flatnonzero(np.concatenate(parts)) if parts else np.empty(0, dtype=np.intp)
    if not len(rows):
        return table
    valid = []
    for row, architecture in zip(rows.tolist(), table[rows], strict=True):
        try:
            valid.append(space.validate(architecture))
        except ValueError as error:
            raise ValueError(f"{source}, row {row}: {error}") from None
    pruned = space.table(valid).widen(table.max_nodes)
    arrays = {name: getattr(table, name).copy() for name in ("operation_codes", "edge_bits", "num_nodes")}
    for name, array in arrays.items():
        array[rows] = getattr(pruned, name)
    return ArchitectureTable(table.vocabulary, columns=table.columns, **arrays)


def _needs_a_look(space: Space, table: ArchitectureTable) -> np.ndarray:
    """(N,) bool: not in the plain form of a valid architecture, with all nodes between inputs and output."""
    codes, adjacency = table.operation_codes, table.adjacency().astype(bool)
    positions, last = np.arange(table.max_nodes), len(space.vocabulary) - 1
    used = positions < table.num_nodes[:, None]
    is_input, is_output = codes < space.num_inputs, (codes == last) & (codes != PADDING)
    from_input = (positions < space.num_inputs) & used
    to_output = positions == table.num_nodes[:, None] - 1
    wrong = (is_input != from_input).any(axis=1) | (is_output != to_output).any(axis=1)
    wrong |= (codes != np.where(from_input, positions, codes)).any(axis=1)
    wrong |= table.num_nodes > space.max_nodes
    wrong |= adjacency.sum(axis=(1, 2)) > space.max_edges
    for node in positions:  # nodes are in topological order: one pass each way is enough
        from_input[:, node] |= (from_input & adjacency[:, :, node]).any(axis=1)
        back = positions[-1] - node
        to_output[:, back] |= (to_output & adjacency[:, back]).any(axis=1)
    return wrong | (used & ~(from_input & to_output)).any(axis=1)
