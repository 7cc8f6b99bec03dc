"""Labelled architectures that predictors are judged on, beyond the benchmarks by name: what is tested.

`chain` is made up: a chain of 8 nodes with skip edges and 6 operations, whose accuracy depends on which nodes are
joined, with noise. `macro` is NAS-Bench-Macro (its table), `tagates` the published split of TA-GATES on NAS-Bench-101
(the benchmark's table, and the split).
"""

import gzip
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cate_hf import ArchitectureTable, get_space
from cate_hf.benchmarks import find_benchmark

NAMES = ("chain", "macro", "tagates")
CHAIN = """name: chain-with-skips
operations:
  conv3x3: {parameters: 36864}
  conv5x5: {parameters: 102400}
  sepconv3x3: {parameters: 4672}
  sepconv5x5: {parameters: 5696}
  avgpool3x3: {parameters: 0}
  maxpool3x3: {parameters: 0}
nodes: 8
edges: [7, 28]
"""
MACRO = """name: nasbench-macro
operations:
  identity: {parameters: 0}
  mb3e3: {parameters: 3}
  mb5e6: {parameters: 7}
nodes: 10
edges: [9, 9]
"""


class Data(NamedTuple):
    """A space, N architectures, their accuracies (N,), and the rows that are tested and that labels are drawn from."""

    space: object
    table: ArchitectureTable
    values: np.ndarray
    test: np.ndarray
    rest: np.ndarray
    oracle: str


def load(name: str, paths: list[str]) -> Data:
    """Return the data of a name. Raises SystemExit where it needs files that were not given."""
    needed = {"chain": 0, "macro": 1, "tagates": 2}[name]
    if len(paths) != needed:
        raise SystemExit(f"{name} needs {needed} files (--data {name} FILE ...), not {len(paths)}")
    return {"chain": _chain, "macro": _macro, "tagates": _tagates}[name](*paths)


def _space(text: str):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "space.yaml"
        file.write_text(text)
        return get_space(file)


def _table(space, codes: np.ndarray, adjacency: np.ndarray) -> ArchitectureTable:
    """codes (N, P) from 0, of the nodes between input and output."""
    ends = np.zeros((len(codes), 1), int), np.full((len(codes), 1), len(space.vocabulary) - 1)
    return ArchitectureTable.from_arrays(
        space.vocabulary, np.hstack([ends[0], codes + 1, ends[1]]).astype(np.uint8), adjacency.astype(np.uint8)
    )


def _halves(count: int, tested: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(123).permutation(count)
    return order[:tested], order[tested:]


def _chain(seed: int = 20, count: int = 9000) -> Data:
    space, rng, size = _space(CHAIN), np.random.default_rng(seed), 8
    codes = rng.integers(0, 6, (count, 6))
    skips = np.triu(rng.random((count, size, size)) < 0.35, 2)
    table = _table(space, codes, skips | np.eye(size, k=1, dtype=bool))
    of_place, of_edge, of_pair = rng.normal(size=(6, 6)), rng.normal(size=(size, size)), rng.normal(0, 0.6, (6, 6))
    score = of_place[np.arange(6), codes].sum(1) + (skips * of_edge).sum((1, 2))
    for first in range(6):
        for second in range(first + 2, 6):
            score += skips[:, first + 1, second + 1] * of_pair[codes[:, first], codes[:, second]]
    score += rng.normal(0, 0.25 * score.std(), count)
    kept = np.sort(np.unique(space.hash_many(table), return_index=True)[1])
    values = 0.75 + 0.2 / (1 + np.exp(-(score - score.mean()) / score.std()))
    return Data(space, table[kept], values[kept], *_halves(len(kept), 3000), "made up, with a quarter of it noise")


def _macro(path: str) -> Data:
    import pyarrow.parquet as pq

    space, found = _space(MACRO), pq.read_table(path)
    codes = np.array([[int(digit) for digit in text] for text in found["architecture"].to_pylist()])
    table = _table(space, codes, np.repeat(np.eye(10, k=1)[None], len(codes), 0))
    return Data(space, table, found["test_accuracy"].to_numpy(), *_halves(len(codes), 2500), "mean of 3 runs")


def _tagates(benchmark: str, split: str) -> Data:
    space = get_space("nasbench101")
    results = find_benchmark(space, benchmark)
    table = results.candidates()
    with gzip.open(split) as file:
        parts = json.load(file)
    rows = {str(h, "ascii") if isinstance(h, bytes) else h: i for i, h in enumerate(table.columns["hash"].tolist())}
    train, test = ([rows[h] for h in parts[name]] for name in ("train", "test_development"))
    values = results.query_many(table, results.default_field)
    oracle = f"{results.oracle(results.default_field)}; TA-GATES' split, the development half of its test cells"
    return Data(space, table.replace_columns({}), values, np.array(test), np.array(train), oracle)
