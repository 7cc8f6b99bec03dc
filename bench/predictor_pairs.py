"""How well accuracies of DARTS architectures, of a normal and a reduction cell each, are told from a few labels.

    python bench/predictor_pairs.py --benchmark labels.parquet --labels 100 1000 --seeds 5 --output pairs.jsonl

NAS-Bench-301's labels. `fit_predictor` takes single cells; here its Gaussian process and its trees, which need no
fine-tuning, see the structural statistics and the frozen encodings of both cells side by side, or the statistics
alone. Their mean counts both alike, in units of their spread. Each seed draws its labels anew; the 4,000 architectures
that are tested are the same for all. Without --labels the tables of what the output holds are printed.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from predictor_tau import tables

from cate_hf import load_encoder
from cate_hf.benchmarks import find_benchmark
from cate_hf.predictor.report import measures
from cate_hf.predictor.targets import Target
from cate_hf.spaces import get_space
from cate_hf.statistics.structure import structure
from cate_hf.surrogates.multi_target import MultiTargetGaussianProcess
from cate_hf.surrogates.trees import Trees

TESTED, SPLIT_SEED = 4000, 123


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark")
    parser.add_argument("--labels", nargs="+", type=int)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.is_file() else []
    if not options.labels:
        print(tables(lines))
        return 0
    space = get_space("darts")
    benchmark = find_benchmark(space, options.benchmark)
    pairs = benchmark.candidates()
    values = benchmark.query_many(pairs, benchmark.default_field)
    statistics = np.column_stack([structure(space, cells) for cells in pairs.parts]).astype(np.float32)
    encoder = load_encoder("darts")
    encodings = np.column_stack([encoder.encode(cells) for cells in pairs.parts])
    kinds = {"gp + trees on structure": statistics}
    kinds["gp + trees with encodings"] = np.column_stack([statistics, encodings])
    order = np.random.default_rng(SPLIT_SEED).permutation(len(values))
    test, rest = order[:TESTED], order[TESTED:]
    for seed in range(options.seeds):
        for n in options.labels:
            rows = np.random.default_rng([seed, n]).choice(rest, n, replace=False)
            target = Target.of(benchmark.default_field, values[rows])
            wanted = target.forward(values[rows])[:, None]
            for name, features in kinds.items():
                key = {"method": name, "labels": n, "seed": seed, "oracle": benchmark.oracle(benchmark.default_field)}
                if any(all(line.get(k) == v for k, v in key.items()) for line in lines):
                    continue
                parts = {"gp": MultiTargetGaussianProcess.fit(features[rows], wanted).predict(features[test])[:, 0]}
                parts["trees"] = Trees.fit(features[rows], wanted, seed).predict(features[test])[0][:, 0]
                mean = sum(part / part.std() for part in parts.values())
                found = {part: measures(of, values[test]) for part, of in parts.items()}
                lines.append(key | {"tested": len(test), "parts": found} | measures(mean, values[test]))
                with options.output.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                print(f"{name}, {n} labels, seed {seed}: τ {lines[-1]['kendall_tau']:.4f}", flush=True)
    print(tables(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
