"""Speed of encoding by D-VAE and arch2vec a batch of graphs at a time, beside one graph at a time, by the same model.

The models have random weights of the default sizes: the speed does not depend on training. With --all every cell of
NAS-Bench-101 is encoded, on as many cores as torch uses.

Usage: python bench/vae_speed.py [--space NAME] [--cells N] [--single N] [--all]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from cate_hf import get_space
from cate_hf.autoencoders._arch2vec_model import Arch2VecModel
from cate_hf.autoencoders._dvae_model import DVaeModel
from cate_hf.autoencoders._files import write_model
from cate_hf.autoencoders._graphs import GraphBatch, GraphShape
from cate_hf.encodings import get_encoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--cells", type=int, default=20_000, help="encoded in batches")
    parser.add_argument("--single", type=int, default=500, help="encoded one at a time")
    parser.add_argument("--all", action="store_true", help="all of the space's pool, in place of --cells")
    options = parser.parse_args()
    space = get_space(options.space)
    pool = space.pool()
    table = pool if options.all else pool[np.random.default_rng(0).permutation(len(pool))[: options.cells]]
    for kind, model_class in (("d-vae", DVaeModel), ("arch2vec", Arch2VecModel)):
        torch.manual_seed(0)
        model = model_class(model_class.config_class(), GraphShape.of(space)).eval()
        with tempfile.TemporaryDirectory() as folder:
            write_model(Path(folder), kind, space, model, "", {})
            encoding = get_encoding(folder, space, device="cpu")
        encoding.transform(table[:4096])  # warm up
        start = time.perf_counter()
        vectors = encoding.transform(table)
        seconds = time.perf_counter() - start
        batched = len(table) / seconds
        threads = f"{torch.get_num_threads()} threads"
        print(f"{kind}: {len(table):,} cells in {seconds:.1f} s, {batched:,.0f} cells/s, {threads}")

        few = table[: options.single]
        start = time.perf_counter()
        with torch.inference_mode():
            parts = [
                model.encode(GraphBatch.from_table(few[row : row + 1], model.shape)).numpy() for row in range(len(few))
            ]
        single = len(few) / (time.perf_counter() - start)
        difference = np.abs(np.concatenate(parts) - vectors[: len(few)]).max()
        print(f"{kind}: one at a time {single:,.0f} cells/s; largest difference {difference:.1e}")
        print(f"{kind}: batched / one at a time: {batched / single:.0f}")


if __name__ == "__main__":
    main()
