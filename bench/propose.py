"""Proposals beside random architectures and beside the best of many that were scored: by predictor and by truth.

    python bench/propose.py --space nasbench201 --labels 100 --seeds 3 --output propose-201.jsonl
    python bench/propose.py --space darts --benchmark surrogate.onnx --labels 200 --seeds 3 --output propose-darts.jsonl
        [--n 10] [--scored 10000]

A predictor is fitted to random architectures (of darts: pairs of cells) with the benchmark's accuracy, by its simple
parts alone. Then n architectures each: proposed, proposed without diversity, drawn at random, and the best predicted
of so many drawn at random. A line has the mean and the best predicted and true accuracy of the n. Lines are written as
they come, and those that the output has already are not measured again; without --labels the table is printed.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from predictor_labels import Lines, _cell

from cate_hf import fit_predictor, get_space, load_encoder, propose
from cate_hf.benchmarks import find_benchmark
from cate_hf.search.propose import _drawn


def known(benchmark, table) -> np.ndarray:
    """(N,) accuracies, NaN where there is none."""
    if hasattr(table, "parts"):
        return np.array([benchmark.query(pair, benchmark.default_field) for pair in table])
    return benchmark.query_many(table, benchmark.default_field, missing="nan")


def measure(options, lines: Lines) -> None:
    space = get_space(options.space)
    benchmark = find_benchmark(space, options.benchmark)
    cells = 2 if options.space == "darts" else 1
    encoder = load_encoder(options.space)
    for n_labels in options.labels:
        for seed in range(options.seeds):
            key = {"space": options.space, "labels": n_labels, "seed": seed, "n": options.n}
            if lines.has(**key, method="random"):
                continue
            drawn = _drawn(space, cells, n_labels, 500 + seed)
            values = known(benchmark, drawn)
            kept = ~np.isnan(values)
            predictor = fit_predictor(drawn[kept], values[kept], encoder=encoder, space=space, members=0, seed=seed)
            many = _drawn(space, cells, options.scored, 9000 + seed)
            start = time.perf_counter()
            found = {"proposed": propose(predictor, n=options.n, seed=seed)}
            seconds = {"proposed": time.perf_counter() - start}
            found["proposed, not diverse"] = propose(predictor, n=options.n, seed=seed, diverse=False)
            start = time.perf_counter()
            found[f"best of {options.scored:,} scored"] = many[predictor.rank(many)[: options.n]]
            seconds[f"best of {options.scored:,} scored"] = time.perf_counter() - start
            found["random"] = many[: options.n]
            for method, table in found.items():
                predicted, true = predictor.predict(table)[0], known(benchmark, table)
                line = {"predicted": float(predicted.mean()), "best_predicted": float(predicted.max())}
                line |= {"true": float(np.nanmean(true)), "best_true": float(np.nanmax(true))}
                lines.add(**key, method=method, **line, seconds=seconds.get(method))


def table(lines: list[dict]) -> str:
    names = ("predicted", "best_predicted", "true", "best_true")
    text = [
        "| labels | |" + "".join(f" {name.replace('_', ' ')} |" for name in names),
        "|---|---|" + "---|" * len(names),
    ]
    for n in sorted({line["labels"] for line in lines}):
        for method in dict.fromkeys(line["method"] for line in lines):
            of = [line for line in lines if (line["labels"], line["method"]) == (n, method)]
            cells = [_cell([100 * line[name] if line[name] < 1 else line[name] for line in of]) for name in names]
            text.append(f"| {n} | {method} |" + "".join(f" {cell} |" for cell in cells))
    return "\n".join(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", required=True)
    parser.add_argument("--benchmark")
    parser.add_argument("--labels", type=int, nargs="+", default=())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--scored", type=int, default=10_000)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    lines = Lines(options.output)
    measure(options, lines)
    print(table(lines.all))
    return 0


if __name__ == "__main__":
    sys.exit(main())
