"""DARTS cells as configurations of NAS-Bench-301 (Siems et al. 2020): a dictionary of ConfigSpace hyperparameters.

A cell has 14 edges, numbered node by node: edge (node n, input i) is number off[n] + i, n = 2 .. 5 being the
intermediate nodes. The edges that are there carry an operation, `...edge_normal_7: sep_conv_3x3`; the two inputs of
nodes 3 to 5 are said again, lower first, `...inputs_node_normal_3: 0_2`. The order of a node's entries is not kept.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cate_hf.graphs.table import unknown_operation
from cate_hf.spaces.darts._canonical import ENTRIES, sort_entries
from cate_hf.spaces.darts._costs import NODES, OPERATIONS
from cate_hf.spaces.darts.genotypes import CONCAT, Genotype, entries, from_entries

__all__ = ["ABSENT", "CELLS", "EDGES", "to_edges"]

PREFIX = "NetworkSelectorDatasetInfo:darts:"
CELLS = ("normal", "reduce")
EDGES = 14
ABSENT = 255
"""Code of an edge that is not there."""
_OFFSETS = np.array([0, 2, 5, 9])  # the first edge of each intermediate node
_NOT_THERE = (None, "#na#")
_NUMBERS = {"edge": range(EDGES), "inputs_node": range(3, 6)}
# Hyperparameter -> its cell, kind and number.
_KEYS = {f"{PREFIX}{kind}_{cell}_{i}": (cell, kind, i) for cell in CELLS for kind in _NUMBERS for i in _NUMBERS[kind]}


def to_edges(operations: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of N cells (N, 8), as `cate_hf.spaces.darts.genotypes.check` accepts them.

    Returns:
        edges (N, 14) uint8: operation codes, `ABSENT` where there is no edge; pairs (N, 3, 2) uint8: the two inputs,
        lower first, of intermediate nodes 1 .. 3 (the hyperparameters inputs_node_*_3 .. 5).
    """
    operations, inputs = sort_entries(operations, inputs)
    edges = np.full((len(operations), EDGES), ABSENT, dtype=np.uint8)
    np.put_along_axis(edges, _OFFSETS[np.arange(ENTRIES) // 2] + inputs, operations, axis=1)
    return edges, inputs[:, 2:].reshape(-1, NODES - 1, 2)


def configuration(genotype: Genotype) -> dict[str, str]:
    """The hyperparameters of a normal and a reduction cell, only those that are active."""
    result = {}
    for name, cell in zip(CELLS, (genotype.normal, genotype.reduce), strict=True):
        edges, pairs = (part[0] for part in to_edges(*(codes[None] for codes in from_entries(cell))))
        for edge in np.flatnonzero(edges != ABSENT).tolist():
            result[f"{PREFIX}edge_{name}_{edge}"] = OPERATIONS[edges[edge]]
        for node, (low, high) in enumerate(pairs.tolist(), 3):
            result[f"{PREFIX}inputs_node_{name}_{node}"] = f"{low}_{high}"
    return result


def from_configuration(settings: Mapping[str, Any], source: str = "configuration") -> Genotype:
    """The two cells of a configuration; hyperparameters of anything but the cells are not looked at.

    Raises:
        ValueError: it has not two edges for each node, or says otherwise in inputs_node_*; names the hyperparameter.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f"{source}: expected a dictionary of hyperparameters, got {type(settings).__name__}")
    found: dict[tuple[str, str], dict[int, Any]] = {(cell, kind): {} for cell in CELLS for kind in _NUMBERS}
    for key, value in settings.items():
        if key in _KEYS:
            cell, kind, number = _KEYS[key]
            if value not in _NOT_THERE:
                found[cell, kind][number] = value
        elif isinstance(key, str) and key.startswith(tuple(f"{PREFIX}{kind}_" for kind in _NUMBERS)):
            raise ValueError(f"{source}: unknown hyperparameter {key!r:.80}")
    normal, reduction = (_cell(name, found[name, "edge"], found[name, "inputs_node"], source) for name in CELLS)
    return Genotype(normal, CONCAT, reduction, CONCAT)


def _cell(name: str, edges: dict[int, Any], stated: dict[int, Any], source: str) -> list[tuple[str, int]]:
    cell = []
    for node in range(NODES):
        present = [value for value in range(2 + node) if _OFFSETS[node] + value in edges]
        first = f"{PREFIX}edge_{name}_{_OFFSETS[node]}"
        if len(present) != 2:
            raise ValueError(f"{source}: expected 2 of the {2 + node} edges from {first} on, found {len(present)}")
        pair = "_".join(map(str, present))
        if node and stated.get(node + 2) != pair:
            key = f"{PREFIX}inputs_node_{name}_{node + 2}"
            raise ValueError(f"{source}: {key} is {stated.get(node + 2)!r:.40}, the edges from {first} on are {pair!r}")
        for value in present:
            operation = edges[int(_OFFSETS[node]) + value]
            if operation not in OPERATIONS:
                key = f"{PREFIX}edge_{name}_{_OFFSETS[node] + value}"
                raise ValueError(f"{source}: {key}: {unknown_operation(str(operation)[:60], OPERATIONS)}")
            cell.append((operation, value))
    return entries(*from_entries(cell, source))
