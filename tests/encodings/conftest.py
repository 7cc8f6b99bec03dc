"""Spaces of every kind, small where a pool is drawn, and the reference forms of encodings: one architecture at a time,
from its `Architecture` alone."""

from functools import lru_cache

import numpy as np
import pytest

from cate_hf import get_space
from cate_hf.encodings import get_encoding
from cate_hf.spaces import Space
from cate_hf.spaces.darts.space import Darts

TWO_INPUTS = """
name: encodings-two-inputs
operations: {conv: {parameters: 9, work: 20}, pool: {parameters: 0, work: 1}, skip: {parameters: 0, work: 0}}
input: [left, right]
nodes: [3, 8]
edges: [1, 11]
in_degree: [1, 2]
pool: 400
"""
TINY = """
name: encodings-tiny
operations: [conv, pool]
nodes: [2, 4]
edges: [1, 4]
"""
CHAIN = """
name: encodings-chain
operations: [conv, pool, skip]
nodes: [30, 34]
edges: [29, 50]
skeleton: chain
pool: 300
"""


class FewDarts(Darts):
    pool_size = 3000


@lru_cache
def space_of(name: str) -> Space:
    from cate_hf.spaces.custom.custom_space import CustomSpace

    if name == "darts":
        return FewDarts()
    texts = {"two-inputs": TWO_INPUTS, "tiny": TINY, "chain": CHAIN}
    return CustomSpace.from_definition(texts[name]) if name in texts else get_space(name)


@lru_cache
def encoding_of(name: str, space: str):
    """One of each, so that what they read of a pool is read once."""
    return get_encoding(name, space_of(space))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def slow_adjacency(space: Space, architecture) -> tuple[dict, dict]:
    """Number of each possible edge -> whether it is there, and position -> operation from 0; the output comes last."""
    size = space.max_nodes
    place = [*range(architecture.num_nodes - 1), size - 1]
    edges, number = {}, 0
    for x in range(size):
        for y in range(x + 1, size):
            edges[number] = any((place[i], place[j]) == (x, y) for i, j in architecture.edges)
            number += 1
    names = space.vocabulary[space.num_inputs : -1]
    operations = {
        place[node] - space.num_inputs: names.index(architecture.operations[node])
        for node in range(space.num_inputs, architecture.num_nodes - 1)
    }
    return edges, operations


def slow_paths(space: Space, architecture) -> set[tuple[str, ...]]:
    """Input and operations along each path, transparent ones left out; by walking all of them."""
    found = set()

    def walk(node: int, names: tuple[str, ...]) -> None:
        operation = architecture.operations[node]
        if node == architecture.num_nodes - 1:
            found.add(names)
            return
        if operation not in space.transparent:
            names = (*names, operation)
        for after in np.flatnonzero(architecture.adjacency[node]):
            walk(int(after), names)

    for node in range(space.num_inputs):
        walk(node, ())
    return found


def slow_number(space: Space, path: tuple[str, ...], fewest: int) -> int:
    """Number of a path: shorter ones first, then by input, then by operations."""
    names = [name for name in space.vocabulary[space.num_inputs : -1] if name not in space.transparent]
    length = len(path) - 1
    number = sum(space.num_inputs * len(names) ** n for n in range(fewest, length))
    digits = 0
    for name in path[1:]:
        digits = digits * len(names) + names.index(name)
    return number + space.vocabulary.index(path[0]) * len(names) ** length + digits
