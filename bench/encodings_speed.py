"""Speed of the fixed encodings over whole tables, beside the same encodings computed one architecture at a time.

The loop is plain Python over `Architecture` objects, with the space's own hash and costs of one architecture; it is
timed on a sample of the table, and its time for all of it is that of the sample times the ratio of their sizes.

Usage: python bench/encodings_speed.py [--space NAME] [--encodings a,b] [--sample N]
"""

import argparse
import math
import random
import time

import numpy as np

from cate_hf import Architecture, get_space
from cate_hf.encodings import get_encoding
from cate_hf.spaces import Space

FIXED = (
    "adjacency",
    "adjacency-categorical",
    "adjacency-continuous",
    "path",
    "path-truncated",
    "path-categorical",
    "path-categorical-truncated",
    "path-continuous",
    "path-continuous-truncated",
    "parameters",
    "random",
)


def adjacency(space: Space, cell: Architecture, form: str) -> list[float]:
    size, inputs = space.max_nodes, space.num_inputs
    place = [*range(len(cell) - 1), size - 1]
    edges = sorted({(place[x], place[y]) for x, y in cell.edges})
    possible = [(x, y) for x in range(size) for y in range(x + 1, size)]
    names = space.vocabulary[inputs:-1]
    kinds = [names.index(name) for name in cell.operations[inputs:-1]]
    kinds += [-1] * (size - inputs - 1 - len(kinds))
    if form == "categorical":
        numbers = [(possible.index(edge) + 1) / len(possible) for edge in edges]
        numbers += [0.0] * (space.max_edges - len(numbers))
        return numbers + [(kind + 1) / len(names) for kind in kinds]
    vector = [float(edge in edges) for edge in possible]
    vector += [float(kind == code) for kind in kinds for code in range(len(names))]
    return vector + [len(edges) / space.max_edges] * (form == "continuous")


def walks(space: Space, cell: Architecture) -> set[tuple[str, ...]]:
    """The paths as names, by walking all of them."""
    found = set()
    successors = [[] for _ in range(len(cell))]
    for x, y in cell.edges:
        successors[x].append(y)
    left = [(node, (cell.operations[node],)) for node in range(space.num_inputs)]
    while left:
        node, names = left.pop()
        for after in successors[node]:
            if after == len(cell) - 1:
                found.add(names)
            else:
                own = () if cell.operations[after] in space.transparent else (cell.operations[after],)
                left.append((after, names + own))
    return found


def path(encoding, numbers: dict, cell: Architecture, form: str) -> list[float]:
    own = sorted(numbers[names] for names in walks(encoding.space, cell) if names in numbers)
    if form == "categorical":
        return [(number + 1) / len(numbers) for number in own] + [0.0] * (encoding.dim - len(own))
    vector = [0.0] * len(numbers)
    for number in own:
        vector[number] = 1.0
    return vector + [len(own) / encoding.most] * (form == "continuous")


def parameters(space: Space, cell: Architecture) -> list[float]:
    return [math.log1p(getattr(space, name)(cell)) for name in space.cost_names]


def random_numbers(space: Space, cell: Architecture, dim: int) -> list[float]:
    generator = random.Random(space.hash(cell))
    return [generator.gauss(0, 1) for _ in range(dim)]


def loop(name: str, encoding):
    """The function of one architecture that stands beside an encoding."""
    space = encoding.space
    kind, _, form = name.removesuffix("-truncated").partition("-")
    if kind == "adjacency":
        return lambda cell: adjacency(space, cell, form)
    if kind == "path":
        numbers = {tuple(text.split("|")[:-1]): number for number, text in enumerate(encoding.paths.texts())}
        return lambda cell: path(encoding, numbers, cell, form)
    if kind == "parameters":
        return lambda cell: parameters(space, cell)
    return lambda cell: random_numbers(space, cell, encoding.dim)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--encodings", default=",".join(FIXED))
    parser.add_argument("--sample", type=int, default=2000, help="architectures that the loop is timed on")
    options = parser.parse_args()
    table = get_space(options.space).pool(progress=True)
    table = table.replace_columns({"hash": table.columns["hash"]})  # every list of a space has it; costs are computed
    sample = np.random.default_rng(0).choice(len(table), min(options.sample, len(table)), replace=False)
    cells = list(table[sample])
    print(f"{options.space}: {len(table):,} architectures; the loop over {len(cells):,} of them, extrapolated")
    ratios = []
    for name in options.encodings.split(","):
        encoding = get_encoding(name, options.space)
        one = loop(name, encoding)
        encoding.transform(table[:1])  # compiled, and what the pool says is known

        start = time.perf_counter()
        rows = np.array([one(cell) for cell in cells], dtype=np.float32)
        slow = (time.perf_counter() - start) / len(cells) * len(table)
        start = time.perf_counter()
        encoding.transform(table)
        fast = time.perf_counter() - start

        if name.startswith(("adjacency", "path")):
            np.testing.assert_allclose(rows, encoding.transform(table[sample]), rtol=1e-6)
        ratios.append(slow / fast)
        print(f"{name}: {fast:.2f} s for all, one at a time {slow:.0f} s (extrapolated), {slow / fast:.0f} times")
    print(f"one at a time / whole table, geometric mean: {np.exp(np.mean(np.log(ratios))):.1f}")


if __name__ == "__main__":
    main()
