"""Speed of enumerating NAS-Bench-101 (cells, hashes, costs), beside plain Python that hashes every labelled graph.

Plain Python goes through the same edge patterns and labellings as the benchmark's own generator and keeps the first of
each hash. Its time is that of hashing a random sample of the labelled graphs, times their number.

Usage: python bench/enumerate_nasbench101.py [--sample N]
"""

import argparse
import time

import numpy as np

from cate_hf import get_space
from cate_hf.graphs.hashing import cell_hash

OPERATIONS = 3
VERTICES = range(2, 8)


def connected_patterns(vertices: int, max_edges: int) -> np.ndarray:
    """Edge patterns (n,) of graphs with every vertex on an input-output path; edge x -> y is bit x + y(y-1)/2."""
    patterns = np.arange(1 << (vertices * (vertices - 1) // 2))
    edges = {(x, y): patterns >> (x + y * (y - 1) // 2) & 1 for y in range(vertices) for x in range(y)}
    fits = sum(edges.values()) <= max_edges
    for v in range(1, vertices):
        fits &= sum(edges[x, v] for x in range(v)) > 0
        fits &= sum(edges[vertices - 1 - v, y] for y in range(vertices - v, vertices)) > 0
    return patterns[fits]


def seconds_of_plain_python(max_edges: int, sample: int) -> tuple[float, int]:
    """Seconds to hash all labelled graphs one by one, extrapolated, and how many there are."""
    patterns = {v: connected_patterns(v, max_edges) for v in VERTICES}
    numbers = np.array([len(patterns[v]) * OPERATIONS ** (v - 2) for v in VERTICES])
    rng = np.random.default_rng(0)
    chosen = rng.choice(list(VERTICES), size=sample, p=numbers / numbers.sum())
    graphs = [(v, int(rng.choice(patterns[v])), rng.integers(0, OPERATIONS, v - 2).tolist()) for v in chosen.tolist()]
    seen = set()
    start = time.perf_counter()
    for vertices, pattern, labels in graphs:
        adjacency = np.zeros((vertices, vertices), dtype=int)
        for y in range(vertices):
            for x in range(y):
                adjacency[x, y] = pattern >> (x + y * (y - 1) // 2) & 1
        seen.add(cell_hash(adjacency, [-1, *labels, -2]))
    return (time.perf_counter() - start) / sample * int(numbers.sum()), int(numbers.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=20_000, help="labelled graphs that plain Python hashes")
    options = parser.parse_args()
    space = get_space("nasbench101")
    start = time.perf_counter()
    cells = space.enumerate(use_cache=False)
    seconds = time.perf_counter() - start
    print(f"enumerate(use_cache=False): {len(cells):,} cells in {seconds:.1f} s")
    plain, number = seconds_of_plain_python(space.max_edges, options.sample)
    print(f"plain Python: {plain:,.0f} s for {number:,} labelled graphs, from a sample of {options.sample:,}")
    print(f"plain Python / enumerate: {plain / seconds:.1f}")


if __name__ == "__main__":
    main()
