"""Speed of CATE-DNGO-LS over a large table of candidates, beside a plain implementation of the same search.

    python bench/search_speed.py [--encodings F.parquet] [--benchmark cells.parquet] [--queries 150] [--trials 1]

The plain one does what public implementations of the method do: it trains its network by torch's autograd, predicts
mean and variance of all candidates in float64 each round, and looks for each neighbour by sorting the distances to all
and walking along them in Python. Without --encodings the candidates are 423,624 random vectors, without --benchmark
their values are made up, so that there is only speed to compare; with both, the regrets of the two are printed too.
"""

import argparse
import sys
import time

import numpy as np
import torch
from scipy.optimize import fmin
from scipy.stats import norm

from cate_hf.benchmarks import load_benchmark
from cate_hf.encodings.files import read_encodings
from cate_hf.search._cate_dngo_ls import CateDngoLs
from cate_hf.spaces import get_space

INITIAL, PROPOSED, LOCAL, PATIENCE = 16, 5, 5, 20


def plain_search(encodings: np.ndarray, values: np.ndarray, queries: int, seed: int) -> list[int]:
    """Rows in the order in which they were queried."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(encodings), INITIAL, replace=False).tolist()
    best, stale = -np.inf, 0
    while len(rows) < queries:
        told = values[rows]
        stale = 0 if told.max() > best else stale + 1
        best = max(best, told.max())
        if stale >= PATIENCE:
            rows += [row for row in rng.choice(len(encodings), INITIAL, replace=False).tolist() if row not in rows]
            stale = 0
            continue
        chosen = plain_proposals(encodings, rows, told)
        for row in np.argsort(-told)[:LOCAL]:
            distances = np.linalg.norm(encodings - encodings[rows[row]], axis=1)
            for other in np.argsort(distances):
                if other not in rows and other not in chosen:
                    chosen.append(int(other))
                    break
        rows += chosen
    return rows[:queries]


def plain_proposals(encodings: np.ndarray, rows: list[int], told: np.ndarray) -> list[int]:
    mean, scale = encodings[rows].mean(0), encodings[rows].std(0)
    x = torch.tensor((encodings[rows] - mean) / scale, dtype=torch.float32)
    y = (told - told.mean()) / told.std()
    network = torch.nn.Sequential(torch.nn.Linear(x.shape[1], 128), torch.nn.Tanh())
    head = torch.nn.Linear(128, 1)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-2)
    target = torch.tensor(y, dtype=torch.float32)
    for _ in range(30):
        for batch in torch.randperm(len(x)).split(10):
            optimizer.zero_grad()
            loss = (head(network(x[batch]))[:, 0] - target[batch]).square().mean()
            loss.backward()
            optimizer.step()
    network.double()
    with torch.no_grad():
        features = np.column_stack([network(x.double()).numpy(), np.ones(len(x))])
        everything = torch.tensor((encodings - mean) / scale, dtype=torch.float64)
        all_features = np.column_stack([network(everything).numpy(), np.ones(len(encodings))])

    def posterior(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        alpha, beta = np.exp(np.clip(logs, -10, 10))
        precision = beta * features.T @ features + alpha * np.eye(features.shape[1])
        return np.linalg.inv(precision), precision, alpha, beta

    def negative_evidence(logs: np.ndarray) -> float:
        covariance, precision, alpha, beta = posterior(logs)
        weights = beta * covariance @ (features.T @ y)
        error = np.square(y - features @ weights).sum()
        determinant = np.linalg.slogdet(precision)[1]
        terms = features.shape[1] * np.log(alpha) + len(y) * np.log(beta) - beta * error - alpha * weights @ weights
        return -0.5 * (terms - determinant)

    covariance, _, _, beta = posterior(logs := fmin(negative_evidence, np.log([1.0, 100.0]), disp=False))
    weights = posterior(logs)[0] @ (features.T @ y) * beta
    predicted = all_features @ weights
    variance = np.einsum("nk,nk->n", all_features @ covariance, all_features) + 1 / beta
    deviation = np.sqrt(variance) * told.std()
    gap = predicted * told.std() + told.mean() - 1.0
    improvement = gap * norm.cdf(gap / deviation) + deviation * norm.pdf(gap / deviation)
    chosen: list[int] = []
    for row in np.argsort(-improvement):
        if row not in rows:
            chosen.append(int(row))
        if len(chosen) == PROPOSED:
            break
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encodings")
    parser.add_argument("--benchmark")
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--trials", type=int, default=1)
    options = parser.parse_args()
    space = get_space("nasbench101")
    table = space.enumerate(progress=True)
    try:
        rng = np.random.default_rng(0)
        if options.encodings:
            encodings = read_encodings(options.encodings, table)
        else:
            encodings = rng.normal(size=(len(table), 64)).astype(np.float32)
        if options.benchmark:
            values = load_benchmark("nasbench101", options.benchmark).query_many(table, "test_accuracy")
        else:
            values = 0.9 + 0.03 * np.tanh(encodings[:, :8].sum(1) / 4) + 0.002 * rng.normal(size=len(table))
        if not INITIAL <= options.queries <= len(table) or options.trials < 1:
            raise ValueError(f"--queries must be {INITIAL} to {len(table)} and --trials at least 1")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    def search(seed: int) -> list[int]:
        optimizer = CateDngoLs(space, table, seed, encodings)
        while len(optimizer.rows) < options.queries:
            for row in optimizer.ask_rows(1):
                optimizer.tell_row(row, values[row])
        return optimizer.rows

    def plain(seed: int) -> list[int]:
        return plain_search(encodings, values, options.queries, seed)

    search(seed=2**31)  # compiles what is compiled
    seconds = {}
    for name, run in (("cate-dngo-ls", search), ("plain", plain)):
        start, processor, regrets = time.perf_counter(), time.process_time(), []
        for seed in range(options.trials):
            regrets.append(100 * (values.max() - values[run(seed)].max()))
        seconds[name] = (time.perf_counter() - start) / options.trials
        processor = (time.process_time() - processor) / options.trials
        line = f"{name}: {seconds[name]:.2f} s a trial of {options.queries} queries, {processor:.2f} s of processor"
        known = options.encodings and options.benchmark
        print(line + (f", regret {np.mean(regrets):.3f} percentage points" if known else ""), flush=True)
    print(f"plain / cate-dngo-ls: {seconds['plain'] / seconds['cate-dngo-ls']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
