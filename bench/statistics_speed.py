"""Speed of the structural statistics of all cells of a space, beside listing the paths of one cell after the other.

The slow way is the reference of the tests, by networkx; its time is that of a few cells, times their number. With
--networks N also the time that a network at initialisation takes, in one process, is measured on N random cells.

Usage: python bench/statistics_speed.py [--space nasbench101] [--listed N] [--networks N]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from cate_hf import get_space
from cate_hf.statistics.structure import structure, structure_names

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.statistics.reference import reference_structure


def networks(space, count: int) -> None:
    import torch

    from cate_hf.statistics._network_measures import measure
    from cate_hf.statistics._small_network import SmallNetwork

    torch.set_num_threads(1)
    seconds = {"build": 0.0, "measure": 0.0}
    cells = list(space.sample(count + 1, seed=1))
    for i, cell in enumerate(cells):
        start = time.process_time()
        network = SmallNetwork(space, cell, space.small_network)
        built = time.process_time()
        measure(network, 0, 32, 16)
        if i:  # the first warms up
            seconds["build"] += built - start
            seconds["measure"] += time.process_time() - built
    parts = ", ".join(f"{name} {1000 * total / count:.1f}" for name, total in seconds.items())
    print(f"a network at initialisation: {1000 * sum(seconds.values()) / count:.1f} ms of one processor ({parts})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--listed", type=int, default=200, help="cells whose paths are listed")
    parser.add_argument("--networks", type=int, default=0, help="networks that are measured")
    options = parser.parse_args()
    space = get_space(options.space)
    table = space.pool(progress=True)
    structure(space, table[:2])  # compiled code is loaded
    start, used = time.perf_counter(), time.process_time()
    numbers = structure(space, table)
    seconds = time.perf_counter() - start
    used = time.process_time() - used
    print(f"structure: {len(table):,} cells × {numbers.shape[1]} in {seconds:.1f} s ({used:.1f} s of processors)")

    rows = np.random.default_rng(0).choice(len(table), options.listed, replace=False)
    cells = list(table[rows])
    start = time.process_time()
    listed = [reference_structure(space, cell) for cell in cells]
    each = (time.process_time() - start) / len(cells)
    names = structure_names(space)[: -len(space.cost_names)]
    expected = np.array([[row[name] for name in names] for row in listed])
    agree = np.allclose(numbers[rows, : len(names)], expected, rtol=1e-5, atol=1e-6)
    print(f"paths listed one by one: {each * 1e3:.2f} ms a cell, {each * len(table):,.0f} s for all, extrapolated from")
    print(f"  {len(cells)} cells (without their costs); their numbers {'agree' if agree else 'DO NOT AGREE'}")
    if options.networks:
        networks(space, options.networks)
    print(f"listed / structure: {each * len(table) / used:,.0f}")


if __name__ == "__main__":
    main()
