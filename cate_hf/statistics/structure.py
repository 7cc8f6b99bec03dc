"""Statistics of an architecture's graph: how computation flows through it, without a label and without a network.

Such statistics, given to trees, predict accuracy better than most learned encodings: GRAF (Kadlecová, Lukasik, Pilát,
Vidnerová, Safari, Neruda, Hutter, "Surprisingly Strong Performance Prediction with Neural Graph Features", ICML 2024)
counts operations, path lengths over sets of operations and degrees. Here are those of a similar kind that hold for any
labelled directed acyclic graph; what GRAF computes for every subset of the operations is computed for each operation.
"""

from typing import TYPE_CHECKING

import numpy as np

from cate_hf.statistics._graph_paths import GRAPH, INPUT, NO_OPERATION, OPERATION, TRANSPARENT, graph_numbers

if TYPE_CHECKING:
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces.base import Space


def structure(space: "Space", table: "ArchitectureTable") -> np.ndarray:
    """Statistics of the graphs of a table, the same for isomorphic drawings (but for costs that differ among them).

    Only nodes on a path from an input to the output count. Operations that are transparent in the space, such as the
    sums of DARTS, are looked through: what feeds one feeds what it feeds. A path's length is its edges. Paths are those
    from any input; the mean is over all paths, each as likely.

    - vertices, edges: numbers of them.
    - output_inputs: nodes that feed the output; output_share: 1 / (nodes that feed it as drawn, inputs not counted),
      the share of the channels that each has where the output concatenates them, 1 where there is none.
    - longest_path, shortest_path, mean_path: lengths; log_paths: log(1 + number of paths).
    - to_output, feeds: whether the input feeds the output itself, and how many nodes it feeds. In a space of several
      inputs each input has these, and its own longest_path, shortest_path and log_paths (0 where no path begins).
    - of each operation count; into_output and from_input (for each input): how many of it feed the output, and are fed
      by the input; most_on_path, fewest_on_path, mean_on_path: how many of it are on a path.
    - log_cost: log(1 + cost) of each of the space's costs.

    An architecture without any path (the cells of NAS-Bench-201 that none leads through) has zeros, but for its costs.

    Args:
        table: N architectures that are of the space. Its columns are not looked at: the costs are those of the graphs.

    Returns:
        (N, S) float32, in the order of `structure_names`.

    Raises:
        ValueError: an operation is not of the space, or the space cannot tell the cost of a row.
    """
    table = space.canonical(space.table(table)).replace_columns({})
    operations = _operations(space)
    kinds = np.full(256, NO_OPERATION, np.int16)
    for code, name in enumerate(space.vocabulary):
        kinds[code] = (
            operations.index(name) if name in operations else TRANSPARENT if name in space.transparent else NO_OPERATION
        )
    numbers = graph_numbers(
        table.operation_codes, table.edge_bits, table.num_nodes, kinds, len(operations), space.num_inputs
    )
    costs = [_log(space.costs(table, name)) for name in space.cost_names]
    return np.column_stack([numbers[:, _kept(space)], *costs])


def structure_names(space: "Space") -> list[str]:
    """The S names of the statistics of a space."""
    inputs, operations = space.vocabulary[: space.num_inputs], _operations(space)
    names = [*GRAPH]
    for name in inputs:
        names += [*INPUT[:2]] if len(inputs) == 1 else [f"{name}:{number}" for number in INPUT]
    kinds = [*OPERATION, *(["from_input"] if len(inputs) == 1 else [f"from_{name}" for name in inputs])]
    names += [f"{operation}:{kind}" for kind in kinds for operation in operations]
    return names + [f"log_cost:{name}" for name in space.cost_names]


def _operations(space: "Space") -> list[str]:
    return [name for name in space.vocabulary[space.num_inputs : -1] if name not in space.transparent]


def _kept(space: "Space") -> np.ndarray:
    """Columns of `graph_numbers`: the paths of a single input are those of the graph."""
    inputs, operations = space.num_inputs, len(_operations(space))
    columns = np.arange(len(GRAPH) + len(INPUT) * inputs + (len(OPERATION) + inputs) * operations)
    return columns if inputs > 1 else np.delete(columns, np.arange(len(GRAPH) + 2, len(GRAPH) + len(INPUT)))


def _log(costs: np.ndarray) -> np.ndarray:
    """log(1 + cost) float32; costs below zero, which a space of one's own may have, have it of their size, negative."""
    costs = np.asarray(costs, dtype=np.float64)
    return (np.sign(costs) * np.log1p(np.abs(costs))).astype(np.float32)
