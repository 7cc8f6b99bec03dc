"""Speed of the NAS-Bench-301 ONNX surrogate in batches, beside the published model one architecture at a time.

Usage: python bench/nasbench301_speed.py surrogate.onnx [--cells N]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime

from cate_hf import get_space, load_benchmark
from cate_hf.benchmarks.nasbench301._features import categories
from cate_hf.benchmarks.nasbench301._onnx_surrogate import OnnxSurrogate
from cate_hf.spaces.darts.pairs import read_cells

COMPARED = 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("surrogate", type=Path)
    parser.add_argument("--cells", type=int, default=50_000)
    options = parser.parse_args()
    space = get_space("darts")
    cells = space.sample(options.cells, seed=0)
    bench = load_benchmark("nasbench301", path=options.surrogate)
    bench.query_many(cells[:5000])

    start = time.perf_counter()
    accuracies = bench.query_many(cells, progress=True)
    speed = len(cells) / (time.perf_counter() - start)
    print(f"query_many: {len(cells):,} cells, {speed:,.0f} cells/s")

    x_cat = categories(read_cells(space, cells[:COMPARED]), OnnxSurrogate(options.surrogate).codes)
    session = onnxruntime.InferenceSession(str(options.surrogate))
    x_cont = np.full((1, 1), 98, dtype=np.float32)
    session.run(None, {"x_cat": x_cat[:1], "x_cont": x_cont})
    start = time.perf_counter()
    plain = [session.run(None, {"x_cat": x_cat[i : i + 1], "x_cont": x_cont})[0][0, 0] for i in range(len(x_cat))]
    alone = len(plain) / (time.perf_counter() - start)
    difference = np.abs(np.array(plain) / 100 - accuracies[: len(plain)]).max()
    print(f"published model, one at a time: {alone:,.0f} cells/s; largest difference {difference:.1e}")
    print(f"query_many / one at a time: {speed / alone:.1f}")


if __name__ == "__main__":
    main()
