"""Speed of sampling unique DARTS cells with hashes, parameters and FLOPs, beside building each cell's network in torch.

A built network has its parameters counted and its FLOPs counted by torch; it is built without memory for its weights
(on the device "meta"). Its time is that of a few cells, times their number.

Usage: python bench/sample_darts.py [--cells N] [--built N]
"""

import argparse
import resource
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from cate_hf import get_space
from cate_hf.spaces.darts._network import build_darts

IMAGE_SIZE = 32


def costs_of_built(genotype: list[tuple[str, int]]) -> tuple[int, int]:
    """Parameters and multiply-adds of the default network of a cell, by building it."""
    with torch.device("meta"), torch.no_grad():
        network = build_darts(genotype, genotype).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, IMAGE_SIZE, IMAGE_SIZE))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters, counter.get_total_flops() // 2  # torch counts a multiply-add as two


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1_000_000, help="unique cells to sample")
    parser.add_argument("--built", type=int, default=100, help="cells of which a network is built")
    options = parser.parse_args()
    space = get_space("darts")
    start = time.perf_counter()
    cells = space.sample(options.cells, seed=0)
    seconds = time.perf_counter() - start
    print(f"sample: {len(cells):,} unique cells with hash, parameters and FLOPs in {seconds:.1f} s")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory: {cells.nbytes / 1e6:.0f} MB of table, at most {memory:.0f} MB of process")

    genotypes = [space.genotype(cell) for cell in cells[: options.built]]
    costs_of_built(genotypes[0])  # warm up
    start = time.perf_counter()
    built = [costs_of_built(genotype) for genotype in genotypes]
    each = (time.perf_counter() - start) / len(genotypes)
    agree = built == list(zip(*(cells.columns[name][: len(built)].tolist() for name in space.cost_names), strict=True))
    print(f"built one by one: {each * 1e3:.1f} ms a cell, {each * len(cells):,.0f} s for all, extrapolated from")
    print(f"  {len(built)} cells (without their hashes); their costs {'agree' if agree else 'DO NOT AGREE'}")
    print(f"built / sample: {each * len(cells) / seconds:,.0f}")


if __name__ == "__main__":
    main()
