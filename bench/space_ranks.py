"""Which frozen encoding is best over spaces: Kendall τ at few labels on each space, and mean ranks over the spaces.

    python bench/space_ranks.py OUTPUT_FOLDER [--nasbench101 cells.parquet] [--nasbench301 labels.parquet]
        [--macro cifar10.parquet] [--labels 16 50 150 424] [--seeds 3] [--spaces chain macro …] [--encodings …]
        [--checkpoint SPACE=FOLDER …] [--development]

Spaces: NAS-Bench-101, 201, 301 (pairs of DARTS cells) and Graph (Cora; extra `nasbench-graph`), NAS-Bench-Macro (a
chain of 8 layers of 3 kinds), and "chain", the made-up labels of `wiring_tau.py`. Without its file a space has no row.
Each number is the best of ridge, Gaussian process and extra trees by mean τ over the draws on 2,000 architectures that
no draw takes. The folder keeps a file for each space and encoding: the same command goes on. An encoding that a space
cannot have is left out there; ranks are over the encodings that all measured spaces have. "cate" is what a user gets
without a choice: the bundled checkpoint, or `universal`. --checkpoint adds a checkpoint for a space of its own.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from frozen_tau import PREDICTORS, best, drawn_rows, taus
from wiring_tau import SPACE as CHAIN
from wiring_tau import chains, labels

from cate_hf.benchmarks import find_benchmark
from cate_hf.core._files import atomic_output
from cate_hf.experiments._prediction import to_target
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.hub._layout import checkpoint_names
from cate_hf.search.run import encode_candidates
from cate_hf.spaces import Space, get_space
from cate_hf.spaces.custom.custom_space import CustomSpace

ALL = ("adjacency", "path", "structure", "cate", "universal")
SOME = ("zero-cost", "arch2vec", "d-vae", "nasbench101-paper", "mixed")
TEST = 2000
MACRO = """name: macro-chain
operations: {identity: {parameters: 0}, mbconv3x3-e3: {parameters: 1}, mbconv5x5-e6: {parameters: 3}}
nodes: 10
skeleton: chain
edges: 9
"""


def measured_space(name: str, options: argparse.Namespace) -> "tuple[Space, Any, np.ndarray] | None":
    """A space, its labelled architectures, and what is predicted; None without its file."""
    if name == "chain":
        space: Space = CustomSpace.from_definition(CHAIN)
        codes, edges = chains(8000, 0)
        table = ArchitectureTable.from_arrays(space.vocabulary, codes.astype(np.uint8), edges.astype(np.uint8))
        return space, table, labels(codes, edges, 1)["accuracy"]
    if name == "macro":
        if options.macro is None:
            return None
        rows, space = pq.read_table(options.macro), CustomSpace.from_definition(MACRO)
        digits = np.array([[int(digit) for digit in text] for text in rows["architecture"].to_pylist()])
        codes = np.pad(digits + 1, ((0, 0), (1, 1)), constant_values=((0, 0), (0, len(space.vocabulary) - 1)))
        edges = np.broadcast_to(np.eye(10, k=1, dtype=np.uint8), (len(codes), 10, 10))
        table = ArchitectureTable.from_arrays(space.vocabulary, codes.astype(np.uint8), edges)
        return space, table, to_target(rows["test_accuracy"].to_numpy() / 100, "test_accuracy")
    file = {"nasbench101": options.nasbench101, "darts": options.nasbench301}.get(name)
    if file is None and name in ("nasbench101", "darts"):
        return None
    benchmark = find_benchmark(name, file)
    table, field = benchmark.candidates(), benchmark.default_field
    values = benchmark.query_many(table, field, missing="nan")
    return get_space(name), table[~np.isnan(values)], to_target(values[~np.isnan(values)], field)


def main() -> int:
    """Measure what the folder lacks, and print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    for name in ("nasbench101", "nasbench301", "macro"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--labels", nargs="+", type=int, default=[16, 50, 150, 424])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--spaces", nargs="+", default=["chain", "macro", "nasbench-graph", "nasbench201", "nasbench101", "darts"]
    )
    parser.add_argument("--encodings", nargs="+", default=[*ALL, *SOME])
    parser.add_argument("--checkpoint", nargs="*", default=[], metavar="SPACE=FOLDER")
    parser.add_argument("--development", action="store_true")
    options = parser.parse_args()
    own = dict(pair.split("=", 1) for pair in options.checkpoint)
    warnings.simplefilter("ignore")
    options.output.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, dict]] = {}
    for name in options.spaces:
        found = measured_space(name, options)
        if found is None:
            continue
        space, table, target = found
        drawn = (options.labels, options.seeds, options.development, TEST)
        rows = drawn_rows(len(table), *drawn)
        for asked in [*options.encodings, *([own[name]] if name in own else [])]:
            encoding = "universal" if asked == "cate" and space.name not in checkpoint_names() else asked
            file = options.output / f"{name}--{Path(encoding).name}.json"
            wanted = {"labels": options.labels, "seeds": options.seeds, "development": options.development}
            kept = json.loads(file.read_text()) if file.is_file() else {}
            if {key: kept.get(key) for key in wanted} != wanted:
                try:
                    some = encode_candidates(encoding, space, table[rows])
                except (ValueError, MemoryError) as error:
                    print(f"{name}: no {encoding} ({error})", file=sys.stderr)
                    continue
                vectors = np.zeros((len(table), some.shape[1]), np.float32)
                vectors[rows] = some
                by = taus(vectors[:, some.std(0) > 1e-6], target, *drawn)
                kept = {**wanted, "numbers": int((some.std(0) > 1e-6).sum()), "tau": by}
                with atomic_output(file, overwrite=True) as temporary:
                    temporary.write_text(json.dumps(kept) + "\n")
                kept = json.loads(file.read_text())
            label = "own" if asked == own.get(name) else asked
            results.setdefault(name, {})[label] = kept
            print(row(name, label, kept, options.labels), file=sys.stderr, flush=True)
    print("| space | encoding | numbers |" + "".join(f" {n} |" for n in options.labels))
    print("|---|---|---|" + "---|" * len(options.labels))
    for name, by_encoding in results.items():
        for encoding, kept in by_encoding.items():
            print(row(name, encoding, kept, options.labels))
    common = [e for e in options.encodings if all(e in by_encoding for by_encoding in results.values())]
    print(f"\nMean rank among {len(common)} encodings over {', '.join(results)} (1: the best)\n")
    print("| encoding |" + "".join(f" {n} |" for n in options.labels) + " farthest behind the best of the others |")
    print("|---|" + "---|" * (len(options.labels) + 1))
    means = {(s, e, n): best(results[s][e]["tau"][str(n)])[1] for s in results for e in common for n in options.labels}
    for encoding in common:
        ranks, behind = [], []
        for n in options.labels:
            of_space = [sum(means[s, other, n] > means[s, encoding, n] for other in common) + 1 for s in results]
            ranks.append(float(np.mean(of_space)))
            behind += [
                max((means[s, o, n] for o in common if o != encoding), default=0) - means[s, encoding, n]
                for s in results
            ]
        print(f"| {encoding} |" + "".join(f" {rank:.2f} |" for rank in ranks) + f" {max(behind):.3f} |")
    return 0


def row(space: str, encoding: str, kept: dict, counts: list[int]) -> str:
    """A row of the table: the best predictor's mean τ and its standard deviation over draws."""
    cells = []
    for n in counts:
        by = kept["tau"][str(n)]
        name = max((p for p in PREDICTORS if p in by), key=lambda p: np.mean(by[p]))
        cells.append(f" {np.mean(by[name]):.3f} ± {np.std(by[name], ddof=min(1, len(by[name]) - 1)):.3f} |")
    return f"| {space} | {encoding} | {kept['numbers']} |" + "".join(cells)


if __name__ == "__main__":
    sys.exit(main())
