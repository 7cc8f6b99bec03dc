"""Random graphs that are kept where they are architectures of a space."""

from collections.abc import Callable

import numpy as np

from cate_hf.graphs.table import PADDING, ArchitectureTable, pack_edges
from cate_hf.spaces import Space

__all__ = ["architectures_of"]

_ENTRIES = 1 << 23  # of adjacency matrices at a time
_PROBE = 8192
_RARE = 1 / 1000


def largest_batch(space: Space) -> int:
    """How many graphs of a space to draw at a time."""
    return max(64, _ENTRIES // space.max_nodes**2)


def architectures_of(space: Space, edges: np.ndarray, operations: np.ndarray) -> tuple[ArchitectureTable, np.ndarray]:
    """Those of N graphs that are architectures of the space once nodes on no path from input to output are removed.

    Args:
        edges: (N, E) bool, each of the pairs of `max_nodes` positions in row-major order of the upper triangle.
        operations: (N, P) of each position between inputs and output, from 0.

    Returns:
        a table of the valid ones, without columns, and their rows.
    """
    size, inputs = space.max_nodes, space.num_inputs
    adjacency = np.zeros((len(edges), size, size), dtype=bool)
    adjacency[:, *np.triu_indices(size, 1)] = edges
    codes = np.empty((len(edges), size), dtype=np.uint8)
    codes[:, :inputs], codes[:, -1] = np.arange(inputs), len(space.vocabulary) - 1
    codes[:, inputs:-1] = operations + inputs

    positions = np.arange(size)
    from_input, to_output = np.zeros((2, *codes.shape), dtype=bool)
    from_input[:, :inputs] = to_output[:, -1] = True
    for node in positions[inputs:]:  # in topological order: one pass each way is enough
        from_input[:, node] = (from_input & adjacency[:, :, node]).any(axis=1)
    for node in positions[-2::-1]:
        to_output[:, node] = (to_output & adjacency[:, node]).any(axis=1)
    rows = np.flatnonzero(from_input[:, -1])
    kept = (from_input & to_output)[rows]
    kept[:, :inputs] = True
    order = np.argsort(~kept, axis=1, kind="stable")
    used = positions < kept.sum(axis=1)[:, None]
    codes = np.where(used, np.take_along_axis(codes[rows], order, axis=1), PADDING).astype(np.uint8)
    adjacency = adjacency[rows[:, None, None], order[:, :, None], order[:, None, :]]
    adjacency &= used[:, :, None] & used[:, None, :]
    table = ArchitectureTable(space.vocabulary, codes, pack_edges(adjacency), used.sum(axis=1).astype(np.uint8))
    valid = np.flatnonzero(_valid(space, table))
    return space.validate_many(table[valid]), rows[valid]


def _valid(space: Space, table: ArchitectureTable) -> np.ndarray:
    """(N,) bool: `is_valid` of architectures that have nothing to be pruned."""
    look = space._needs_a_look(table)
    if not _only_limits(space):
        rows = np.flatnonzero(look)
        look[rows] = [not space.is_valid(architecture) for architecture in table[rows]]
    return ~look


def _only_limits(space: Space) -> bool:
    """Whether an architecture that has nothing to be pruned and still needs a look is never valid."""
    from cate_hf.spaces.custom.custom_space import CustomSpace

    if isinstance(space, CustomSpace):
        return space.valid is None
    return type(space).validate is Space.validate and type(space)._needs_a_look is Space._needs_a_look


def are_common(space: Space, draw: Callable[[int, np.random.Generator], ArchitectureTable]) -> bool:
    """Whether at least one in a thousand random graphs is an architecture of the space, by a fixed sample of `draw`."""
    count = min(_PROBE, largest_batch(space))
    return len(draw(count, np.random.default_rng(0))) >= max(1, count * _RARE)


def draw_until(
    space: Space, n: int, rng: np.random.Generator, draw: Callable[[int, np.random.Generator], ArchitectureTable]
) -> ArchitectureTable:
    """N architectures: as many random graphs as it takes."""
    found, drawn = [draw(0, rng)], 0
    while (count := sum(map(len, found))) < n:
        share = max(count, 1) / drawn if drawn else 0.5  # of those drawn so far that were architectures
        batch = min(int(1.1 * (n - count) / share) + 16, largest_batch(space))
        found.append(draw(batch, rng))
        drawn += batch
    return ArchitectureTable.concatenate(found)[:n]


def draw_from_space(space: Space, n: int, rng: np.random.Generator) -> ArchitectureTable:
    """N architectures drawn independently as a space draws them that is not listed."""
    found = [space._draw(n, rng)]
    while (missing := n - sum(map(len, found))) > 0:
        found.append(space._draw(missing, rng))
    return ArchitectureTable.concatenate(found)[:n]
