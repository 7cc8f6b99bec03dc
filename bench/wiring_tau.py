"""What encodings hold of the wiring: made-up labels on a space of one's own, a chain of 8 nodes with skips.

    python bench/wiring_tau.py [--model FOLDER_OF_A_CHECKPOINT ...] [--labels 50 150 424] [--seeds 5]

The space is written to chain_with_skips.yaml (6 operations; every node feeds the next; any further edges), for
`accelerate launch -m cate_hf.training.pretrain --space chain_with_skips.yaml`. Its labels are made up from seeds: an
accuracy (operations by position, single skips, pairs of operations that a skip joins, the number of edges; it
saturates and is noisy), and labels that are additive in single edges, in operations by position, and in pairs of
operations of which one reaches the other. Kendall τ on 2,000 others, the best of ridge, Gaussian process and trees.
"""

import argparse
from pathlib import Path

import numpy as np

from cate_hf import get_encoding, get_space, load_encoder
from cate_hf.experiments._prediction import predict
from cate_hf.graphs.table import ArchitectureTable

NODES, OPERATIONS = 8, ("c3", "c5", "c7", "pool", "id", "sep")
SPACE = f"""name: chain-with-skips
operations: {{c3: {{parameters: 9}}, c5: {{parameters: 25}}, c7: {{parameters: 49}}, pool: {{parameters: 0}},
  id: {{parameters: 0}}, sep: {{parameters: 4}}}}
nodes: {NODES}
skeleton: chain
edges: [7, 28]
pool: 20000
"""
TEST, PREDICTORS = 2000, ("ridge", "gp", "trees")


def chains(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Operation codes (N, 8), 0 the input and 7 the output, and adjacency (N, 8, 8) of different random chains."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((count, NODES), int)
    codes[:, 1:-1] = rng.integers(1, len(OPERATIONS) + 1, (count, NODES - 2))
    codes[:, -1] = len(OPERATIONS) + 1
    edges = np.triu(rng.random((count, NODES, NODES)) < rng.uniform(0.1, 0.7, (count, 1, 1)), 1)
    edges[:, np.arange(NODES - 1), np.arange(1, NODES)] = True
    _, first = np.unique(np.concatenate([codes, edges.reshape(count, -1)], 1), axis=0, return_index=True)
    return codes[np.sort(first)], edges[np.sort(first)]


def labels(codes: np.ndarray, edges: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """The made-up labels (N,) by name."""
    rng, count = np.random.default_rng(seed), len(codes)
    of_position = rng.normal(0, 0.5, (NODES, 8)) + 0.6 * rng.normal(0, 1, 8)
    of_edge, of_pair = rng.normal(0, 0.6, (NODES, NODES)), rng.normal(0, 0.5, (8, 8))
    of_edge[np.arange(NODES - 1), np.arange(1, NODES)] = 0
    skips = edges.copy()
    skips[:, np.arange(NODES - 1), np.arange(1, NODES)] = False
    positions = of_position[np.arange(NODES), codes].sum(1)
    single = (skips * of_edge).sum((1, 2))
    joined = (skips * of_pair[codes[:, :, None], codes[:, None, :]]).sum((1, 2))
    accuracy = positions + single + joined
    accuracy = accuracy / accuracy.std() - 0.005 * (edges.sum((1, 2)) - 12) ** 2
    accuracy /= accuracy.std()
    accuracy = np.where(accuracy > 0.5, 0.25 + 0.5 * accuracy, accuracy) + rng.normal(0, 0.12, count)
    later = np.triu(np.ones((NODES, NODES)), 1)  # of a chain every node reaches all later ones
    pairs = (of_pair[codes[:, :, None], codes[:, None, :]] * later).sum((1, 2))
    return {"accuracy": accuracy, "edges": single, "operations by position": positions, "pairs": pairs}


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="*", default=[], help="folders of checkpoints of this space")
    parser.add_argument("--labels", nargs="+", type=int, default=[50, 150, 424])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the graphs and of the labels")
    options = parser.parse_args()
    path = Path("chain_with_skips.yaml")
    path.write_text(SPACE)
    space = get_space(path)
    codes, edges = chains(8000, options.seed)
    table = ArchitectureTable.from_arrays(space.vocabulary, codes.astype(np.uint8), edges.astype(np.uint8))
    encodings = {name: get_encoding(name, space).transform(table) for name in ("adjacency", "structure", "universal")}
    encodings |= {Path(folder).name: load_encoder(folder).encode(table) for folder in options.model}
    print("| labels | encoding | numbers |" + "".join(f" {n} |" for n in options.labels))
    print("|---|---|---|" + "---|" * len(options.labels))
    for kind, target in labels(codes, edges, options.seed + 1).items():
        for name, vectors in encodings.items():
            varied = vectors[:, vectors.std(0) > 1e-6]
            found = predict(
                varied, target, options.labels, options.seeds, names=("ridge", "gp", "trees"), test_size=TEST
            )
            best = [max(np.mean(of["kendall_tau"]) for of in found[n].values()) for n in options.labels]
            print(f"| {kind} | {name} | {varied.shape[1]} |" + "".join(f" {tau:.3f} |" for tau in best), flush=True)


if __name__ == "__main__":
    main()
