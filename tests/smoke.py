"""What `.ci/smoke` runs on Pythons that have no torch at hand: imports, and a small space from end to end."""

import compileall
import importlib
import pkgutil
import sys
from pathlib import Path

import cate_hf
from cate_hf import get_encoding, get_space, load_benchmark

LEFT_OUT = ("torch", "accelerate", "networkx", "onnx", "onnxruntime", "optuna")
"""torch, whose pinned build is for Python 3.11 alone, what comes with it, and extras."""


def main() -> int:
    folder = Path(cate_hf.__file__).parent
    if not compileall.compile_dir(folder, quiet=1, force=True):
        return 1
    imported, without = 0, []
    for module in pkgutil.walk_packages([str(folder)], "cate_hf."):
        try:
            importlib.import_module(module.name)
            imported += 1
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in LEFT_OUT:
                raise
            without.append(module.name)
    space, benchmark = get_space("nasbench201"), load_benchmark("nasbench201")
    cells = space.enumerate()
    assert len(cells) == 15625
    assert len(set(cells.columns["hash"].tolist())) == 8765
    assert len(set(cells.columns["isomorphism_class"].tolist())) == 6466
    vectors = get_encoding("adjacency", "nasbench201").transform(cells[:100])
    assert vectors.shape[0] == 100
    scores = benchmark.query_many(space.sample(20, seed=0), "validation_accuracy")
    assert scores.shape == (20,)
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"Python {version}: {imported} modules imported, {len(without)} need torch or an extra and were "
        f"compiled; best of 20 cells of NAS-Bench-201 {scores.max():.4f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
