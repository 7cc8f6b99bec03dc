"""Make the bundled predictor nasbench101-accuracy, and measure it on cells that it has not seen.

    python bench/bundle_predictor.py --benchmark cells.parquet --output cate_hf/predictor/bundled/nasbench101-accuracy

Its labels are the mean test accuracies of --labels random cells. What is written are weights of networks and trees: no
label, no list of labelled cells, and no Gaussian process, whose weights are one for each labelled cell.
"""

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np

from cate_hf.benchmarks import find_benchmark
from cate_hf.core._files import check_output
from cate_hf.hub._layout import OWN_FILES
from cate_hf.predictor import fit_predictor
from cate_hf.predictor.files import EXTRA_FILES
from cate_hf.predictor.report import report

SPACE, FIELD = "nasbench101", "test_accuracy"
NOTE = (
    "The labels are mean test accuracies of the public benchmark NAS-Bench-101 (Ying et al., ICML 2019), of three "
    "trainings of 108 epochs a cell. About one cell in fifty has a mean below 80 %, because one of them diverged; that "
    "is chance, and is not predicted."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--test-size", type=int, default=10_000)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    check_output(options.output, options.overwrite, (*OWN_FILES, *EXTRA_FILES))
    benchmark = find_benchmark(SPACE, options.benchmark)
    table = benchmark.candidates().replace_columns({})
    values = benchmark.query_many(table, FIELD)
    order = np.random.default_rng(101).permutation(len(table))
    rows, test = order[: options.labels], order[options.labels : options.labels + options.test_size]
    labels = {FIELD: values[rows]}
    predictor = fit_predictor(table[rows], labels, space=SPACE, members=options.members, gp=False, progress=True)
    predictor.facts |= {
        "report": report(predictor, table[test], {FIELD: values[test]}, progress=True),
        "oracle": benchmark.oracle(FIELD),
        "note": NOTE,
        "title": "Accuracy of NAS-Bench-101 cells, predicted",
        "command": shlex.join(
            ["python", "bench/bundle_predictor.py", "--benchmark", "cells.parquet", "--output", "OUT"]
        ),
    }
    predictor.save(options.output, options.overwrite, keep_labels=False)
    print(f"wrote {options.output}: {predictor.facts['report'][FIELD]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
