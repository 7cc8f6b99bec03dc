"""Whether architectures are of a search space, one by one and by the table."""

from typing import TYPE_CHECKING

import numpy as np

from cate_hf.graphs.table import PADDING, ArchitectureTable, unknown_operation

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.spaces.base import Space

CHUNK = 65_536


def check_ends(space: "Space", architecture: "Architecture") -> None:
    """Raise ValueError for an operation that is not of the space, or an input or output in a wrong place."""
    if not hasattr(architecture, "operations"):
        raise ValueError(f"expected an Architecture of {space.name}, got {architecture!r:.80}")
    operations = architecture.operations
    inputs, output = space.vocabulary[: space.num_inputs], space.vocabulary[-1]
    for node, name in enumerate(operations):
        if name not in space.vocabulary:
            raise ValueError(f"node {node}: {unknown_operation(name, space.vocabulary)}")
        where = "first" if name in inputs else "last" if name == output else None
        fits = node < space.num_inputs if where == "first" else node == len(operations) - 1
        if where and not fits:
            raise ValueError(f"node {node}: {name!r} must be the {where} node of a {space.name} architecture")
    for node, name in enumerate(inputs):
        if operations[node] != name:
            raise ValueError(f"node {node}: expected {name!r}, got {operations[node]!r}")
    if operations[-1] != output:
        raise ValueError(f"node {len(operations) - 1}: expected {output!r}, got {operations[-1]!r}")


def validate_rows(space: "Space", table: ArchitectureTable, look: np.ndarray, source: str) -> ArchitectureTable:
    """The table with `space.validate` of the rows where `look` (N,) is true in their place.

    Raises:
        ValueError: naming the first row that is not of the space, and why.
    """
    rows = np.flatnonzero(look)
    if not len(rows):
        return table
    valid = []
    for row, architecture in zip(rows.tolist(), table[rows], strict=True):
        try:
            valid.append(space.validate(architecture))
        except ValueError as error:
            raise ValueError(f"{source}, row {row}: {error}") from None
    changed = space.table(valid)
    table, changed = (part.widen(max(table.max_nodes, changed.max_nodes)) for part in (table, changed))
    arrays = {name: getattr(table, name).copy() for name in ("operation_codes", "edge_bits", "num_nodes")}
    for name, array in arrays.items():
        array[rows] = getattr(changed, name)
    return ArchitectureTable(table.vocabulary, columns=table.columns, **arrays)


def needs_a_look(space: "Space", table: ArchitectureTable) -> np.ndarray:
    """(N,) bool: not in the plain form of a valid architecture, with all nodes between inputs and output."""
    parts = [_needs_a_look(space, table[start : start + CHUNK]) for start in range(0, len(table), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _needs_a_look(space: "Space", table: ArchitectureTable) -> np.ndarray:
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
