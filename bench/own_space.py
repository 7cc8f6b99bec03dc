"""Speed of a search space of one's own (docs/enas_like.yaml): unique samples, and their hash beside NAS-Bench-101's.

The baseline of the ratio is the iterated MD5 of NAS-Bench-101 for the same architectures, as the package computes it
for that benchmark, by whole tables. Sampling, validation and neighbours are timed alone; so is a space of 200 nodes.

Usage: python bench/own_space.py [--sample N]
"""

import argparse
import time
from pathlib import Path

import numpy as np

from cate_hf.graphs.hashing import cell_hashes
from cate_hf.graphs.table import PADDING
from cate_hf.spaces.custom.custom_space import CustomSpace

EXAMPLE = Path(__file__).parents[1] / "docs" / "enas_like.yaml"


def timed(what: str, function):
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    print(f"{what}: {seconds:.2f} s")
    return result, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=100_000, help="architectures to draw")
    options = parser.parse_args()
    space = CustomSpace.from_file(EXAMPLE)
    space.sample(100, seed=0)  # compiled, or read from the cache of compiled code
    table, _ = timed(f"{options.sample:,} unique samples", lambda: space.sample(options.sample, seed=0))
    timed("validation of them", lambda: space.validate_many(table))
    timed("neighbours of 20 of them", lambda: [space.neighbours(a) for a in table[:20]])
    large = CustomSpace(name="large", operations=[f"o{i}" for i in range(64)], nodes=200, edges=[199, 400])
    timed("1,000 samples of 200 nodes", lambda: large.sample(1000, seed=0))
    _, seconds = timed("hashes", lambda: space.hash_many(table))
    labels = np.where(table.operation_codes == PADDING, 0, table.operation_codes).astype(np.int64)
    adjacency = table.adjacency()
    _, baseline = timed("iterated MD5", lambda: cell_hashes(adjacency, labels, table.num_nodes))
    print(f"iterated MD5 / hashes: {baseline / seconds:.0f}")


if __name__ == "__main__":
    main()
