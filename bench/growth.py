"""How cost grows: seconds an architecture by how many there are and by how many nodes they have, and memory.

    python bench/growth.py counts [--counts 1000 10000 100000 1000000] [--model darts]
    python bench/growth.py nodes [--nodes 7 15 30 60 120 200] [--steps 12]
    python bench/growth.py large [--nodes 1000] [--count 64]

counts: cells of DARTS, drawn and encoded by the bundled checkpoint. nodes: a chain with skips from a YAML file; pre-
training of the default design (pairs of architectures a second, the first steps left out), encoding by it, and by
`universal`. large: graphs of 1,000 nodes by `universal`. Each row is a process of its own, so that its peak of memory
is its own; "beside" is what a process has that only imports and loads. The last line is a ratio: of the cost of an
architecture among most to among fewest (1: flat), or the exponent of the growth from the second largest number of nodes
to the largest (2: quadratic).
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

OPERATIONS = ("conv1x1", "conv3x3", "conv5x5", "maxpool3x3", "identity")


def peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(*arguments: object) -> dict:
    """What this file prints as JSON when it is called for one row."""
    command = [sys.executable, __file__, "row", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def timed_encoding(model: str, table, beside: float) -> dict:
    """Seconds an architecture after a first call that loads and compiles, and MiB above `beside`."""
    from cate_hf import load_encoder

    encoder = load_encoder(model)
    encoder.encode(table[: min(len(table), 5000)])
    start = time.perf_counter()
    encoder.encode(table)
    return {"seconds": (time.perf_counter() - start) / len(table), "memory": peak() - beside}


def row_counts(model: str, count: str) -> dict:
    from cate_hf import get_space

    table = get_space("darts").sample(int(count), seed=0)
    return timed_encoding(model, table, peak())


def random_chains(nodes: int, count: int):
    """Chains of `nodes` nodes with about two skips for three nodes, as a table."""
    from cate_hf.graphs.table import ArchitectureTable

    rng = np.random.default_rng(nodes)
    codes = np.zeros((count, nodes), np.uint8)
    codes[:, 1:-1] = rng.integers(1, len(OPERATIONS) + 1, (count, nodes - 2))
    codes[:, -1] = len(OPERATIONS) + 1
    edges = np.triu(rng.random((count, nodes, nodes)) < min(0.5, 1.3 / nodes), 1)
    edges[:, np.arange(nodes - 1), np.arange(1, nodes)] = True
    return ArchitectureTable.from_arrays(("input", *OPERATIONS, "output"), codes, edges.astype(np.uint8))


def write_space(folder: Path, nodes: int) -> Path:
    costs = ", ".join(f"{name}: {{parameters: {9 * number}}}" for number, name in enumerate(OPERATIONS))
    file = folder / f"chain-{nodes}.yaml"
    file.write_text(
        f"name: chain-of-{nodes}\noperations: {{{costs}}}\nnodes: {nodes}\nskeleton: chain\n"
        f"edges: [{nodes - 1}, {3 * nodes}]\npool: 2000\n"
    )
    return file


def row_nodes(nodes: str, model: str) -> dict:
    return timed_encoding(model, random_chains(int(nodes), 2000), peak())


def row_large(nodes: str, count: str) -> dict:
    return timed_encoding("universal", random_chains(int(nodes), int(count)), peak())


def pretrain(folder: Path, nodes: int, steps: int) -> tuple[float, Path]:
    """Seconds a pair of a real pre-training, by its log, and its folder."""
    output = folder / f"own-{nodes}"
    command = [sys.executable, "-m", "cate_hf.training.pretrain", "--space", str(write_space(folder, nodes))]
    command += ["--max-steps", str(steps), "--log-every", str(steps // 3), "--batch-size", "64", "--save-every", "0"]
    command += ["--statistics-batch-size", "64", "--evaluate-pairs", "64", "--output-dir", str(output)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (output / "training" / "log.jsonl").read_text().splitlines()]
    speeds = [line["pairs_per_second"] for line in lines if "pairs_per_second" in line]
    return 1 / float(np.mean(speeds[1:])), output


def main() -> int:
    if sys.argv[1:2] == ["row"]:
        kind, *arguments = sys.argv[2:]
        print(json.dumps({"counts": row_counts, "nodes": row_nodes, "large": row_large}[kind](*arguments)))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("counts", "nodes", "large"))
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--nodes", type=int, nargs="+")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--model", default="darts")
    options = parser.parse_args()
    if options.kind == "large":
        print("| nodes | ms an architecture | MiB beside |\n|---|---|---|")
        for nodes in options.nodes or [1000]:
            found = in_a_process("large", nodes, options.count)
            print(f"| {nodes:,} | {1e3 * found['seconds']:.1f} | {found['memory']:,.0f} |", flush=True)
        return 0
    if options.kind == "counts":
        print("| architectures | µs an architecture | MiB beside | bytes each |\n|---|---|---|---|")
        seconds = []
        for count in options.counts:
            found = in_a_process("counts", options.model, count)
            seconds.append(found["seconds"])
            memory = found["memory"]
            print(
                f"| {count:,} | {1e6 * seconds[-1]:.1f} | {memory:,.0f} | {memory * 2**20 / count:,.0f} |", flush=True
            )
        print(f"cost of an architecture among most / among fewest: {seconds[-1] / seconds[0]:.2f}")
        return 0
    print(
        "| nodes | pre-training, ms a pair | encoding, ms each (MiB) | `universal`, ms each (MiB) |\n|---|---|---|---|"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for nodes in options.nodes or [7, 15, 30, 60, 120, 200]:
            pair, own = pretrain(Path(folder), nodes, options.steps)
            found = [in_a_process("nodes", nodes, model) for model in (own, "universal")]
            rows.append((nodes, pair, *(one["seconds"] for one in found)))
            cells = [f"{1e3 * one['seconds']:.3f} ({one['memory']:,.0f})" for one in found]
            print(f"| {nodes} | {1e3 * pair:.2f} | {' | '.join(cells)} |", flush=True)
    exponents = [
        math.log(b / a) / math.log(rows[-1][0] / rows[-2][0]) for a, b in zip(rows[-2][1:], rows[-1][1:], strict=True)
    ]
    print(f"largest exponent of growth in nodes at the end: {max(exponents):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
