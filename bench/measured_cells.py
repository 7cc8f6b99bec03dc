"""A table of the cells of NAS-Bench-101 whose statistics at initialisation are kept in the cache, for searches on them.

    python bench/measured_cells.py --benchmark cells.parquet --output measured.parquet [--cells 24000] [--field FIELD]
    cate compare --space nasbench101 --benchmark table=measured.parquet --encodings zero-cost \\
        --algorithms cate-predictor/trees --output measured

All 423,624 cells would take hours to measure. These are the first of a random order (permutation [0, 4]); those that
the cache lacks are measured now, tens of milliseconds each.
"""

import argparse

import numpy as np

from cate_hf.benchmarks import find_benchmark
from cate_hf.core._files import check_output
from cate_hf.graphs import write_parquet
from cate_hf.spaces import get_space
from cate_hf.statistics.initialisation import initialisation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", required=True, help="file of NAS-Bench-101's results")
    parser.add_argument("--output", required=True, help="Parquet file to write")
    parser.add_argument("--cells", type=int, default=24_000)
    parser.add_argument("--field", help="of the benchmark; its accuracy when left out")
    options = parser.parse_args()
    check_output(options.output)
    space = get_space("nasbench101")
    benchmark = find_benchmark(space, options.benchmark)
    table = benchmark.candidates()
    table = table[np.sort(np.random.default_rng([0, 4]).permutation(len(table))[: options.cells])]
    initialisation(space, table, progress=True)
    field = options.field or benchmark.default_field
    values = benchmark.query_many(table, field)
    write_parquet(table.replace_columns({"hash": table.columns["hash"], field: values}), options.output)
    print(f"wrote {options.output}: {len(table):,} cells with {benchmark.oracle(field)}")


if __name__ == "__main__":
    main()
