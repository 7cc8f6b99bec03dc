"""Cells of NAS-Bench-301 as the numbers that its surrogates read: ONNX categories, and vectors of its configurations.

Both go over the 34 hyperparameters of an architecture: the operations of 14 edges of the normal and of the reduction
cell, and which two inputs nodes 3 to 5 of each read (see `cate_hf.spaces.darts._configurations`).
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from cate_hf.spaces.darts._configurations import ABSENT, CELLS, EDGES, to_edges
from cate_hf.spaces.darts.genotypes import NODES, OPERATIONS
from cate_hf.spaces.darts.pairs import Cells

HYPERPARAMETERS = 2 * EDGES + 2 * (NODES - 1)
VECTOR_SIZE = 56
_ABSENT_TEXT = "#na#"
_ENCODING_PREFIX = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"
_PAIRS = [list(combinations(range(2 + node), 2)) for node in range(1, NODES)]  # inputs that nodes 3 .. 5 may have
_HIGHEST_INPUT = NODES + 1


def category_codes(encoding: Any, source: str) -> list[np.ndarray]:
    """The codes of each of the 34 hyperparameters in the order that the ONNX surrogate reads.

    Args:
        encoding: hyperparameter -> category -> code, as `surrogate_encoding.json` has it.
        source: what the errors call it.

    Returns:
        28 arrays (256,) by operation code, `ABSENT` (255) too; 6 arrays (5, 5) by lower and higher input.

    Raises:
        ValueError: it lacks a hyperparameter or a category, or a code is not a small number.
    """
    if not isinstance(encoding, Mapping):
        raise ValueError(f"{source}: expected an object of hyperparameters, got {type(encoding).__name__}")

    def code(hyperparameter: str, category: str) -> int:
        codes = encoding.get(_ENCODING_PREFIX + hyperparameter)
        value = codes.get(category) if isinstance(codes, Mapping) else None
        if type(value) is not int or not 0 <= value < 256:
            raise ValueError(f"{source}: {_ENCODING_PREFIX}{hyperparameter} has no code 0 to 255 for {category!r}")
        return value

    result = []
    for cell in CELLS:
        for edge in range(EDGES):
            codes = np.zeros(256, dtype=np.int32)
            codes[ABSENT] = code(f"edge_{cell}_{edge}", _ABSENT_TEXT)
            codes[: len(OPERATIONS)] = [code(f"edge_{cell}_{edge}", name) for name in OPERATIONS]
            result.append(codes)
    for cell in CELLS:
        for node, pairs in enumerate(_PAIRS, 3):
            codes = np.zeros((_HIGHEST_INPUT, _HIGHEST_INPUT), dtype=np.int32)
            for low, high in pairs:
                codes[low, high] = code(f"inputs_node_{cell}_{node}", f"{low}_{high}")
            result.append(codes)
    return result


def categories(cells: Cells, codes: list[np.ndarray]) -> np.ndarray:
    """(N, 34) int32, the ONNX surrogate's x_cat: the edges of both cells, then the inputs of both."""
    edges, pairs = zip(*(to_edges(*cell) for cell in cells), strict=True)
    result = np.empty((cells.number, HYPERPARAMETERS), dtype=np.int32)
    for column, values in enumerate(np.hstack(edges).T):
        result[:, column] = codes[column][values]
    for column, values in enumerate(np.hstack(pairs).transpose(1, 0, 2), 2 * EDGES):
        result[:, column] = codes[column][values[:, 0], values[:, 1]]
    return result


def _vector_layout() -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """The vector of what is the same for all, and where edges and inputs of each cell go in it.

    ConfigSpace 0.4 orders the hyperparameters by condition, then by name: first those that are always there, then the
    12 edges of each cell that may be absent, their numbers sorted as text. Numbers are scaled to the range that the
    configuration space states, categories counted from 0.
    """
    fixed = np.zeros(VECTOR_SIZE)
    fixed[0] = 0.5863451791322553  # batch size 96
    fixed[4:6] = 0.16666444442962952, 0.3099999239999697  # one cutout hole of length 16
    fixed[14], fixed[21] = 0.003149999006299998, 0.000749999001499998  # 32 initial channels, 8 cells
    fixed[24:27] = -3.6888794541139363, 0.8988764044943821, -8.111728083308073  # learning rate, momentum, weight decay
    fixed[27:29] = 0.009949999019899998, 1e-12  # cosine annealing over 100 epochs down to 1e-8
    fixed[31] = 0.7051278400653053  # mixup 0.2
    always, sometimes = [0, 1], sorted(range(2, EDGES), key=str)
    edges, inputs = [], []
    for number in range(len(CELLS)):
        places = np.empty(EDGES, dtype=np.intp)
        places[always] = 10 + 2 * number + np.arange(2)
        places[sometimes] = 32 + len(sometimes) * number + np.arange(len(sometimes))
        edges.append(places)
        inputs.append(15 + (NODES - 1) * number + np.arange(NODES - 1))
    ranks = []
    for pairs in _PAIRS:
        rank = np.zeros((_HIGHEST_INPUT, _HIGHEST_INPUT))
        for i, (low, high) in enumerate(pairs):
            rank[low, high] = i
        ranks.append(rank)
    return fixed, edges, inputs, ranks


def vectors(cells: Cells) -> np.ndarray:
    """(N, 56) float64: what the official models read, ConfigSpace's vector with -1 for what is absent.

    The training settings in it are those that the official code fills in (Siems et al., arXiv 2008.09777, appendix).
    """
    fixed, edge_places, input_places, ranks = _vector_layout()
    result = np.tile(fixed, (cells.number, 1))
    for cell, edge_place, input_place in zip(cells, edge_places, input_places, strict=True):
        edges, pairs = to_edges(*cell)
        result[:, edge_place] = np.where(edges == ABSENT, -1.0, edges)
        for node, rank in enumerate(ranks):
            result[:, input_place[node]] = rank[pairs[:, node, 0], pairs[:, node, 1]]
    return result
