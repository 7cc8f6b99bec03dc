"""The isomorphism-invariant cell hash of NAS-Bench-101, for one cell and for a table of them.

The hash is the iterated MD5 of ``hash_module`` in google-research/nasbench (Ying et al., "NAS-Bench-101", ICML 2019):
every vertex starts from (out-degree, in-degree, label), absorbs its neighbours' sorted digests once per vertex of the
cell, and the sorted digests of all vertices give the cell's hash.
"""

from collections.abc import Sequence
from hashlib import md5

import numpy as np


def _digest(text: str) -> str:
    return md5(text.encode("ascii"), usedforsecurity=False).hexdigest()


def cell_hash(adjacency: np.ndarray, labels: Sequence[int]) -> str:
    """Hash of one labelled DAG, equal for isomorphic ones.

    Args:
        adjacency: (L, L) of 0/1, ``adjacency[x, y] = 1`` for the edge x -> y.
        labels: L integers; NAS-Bench-101 uses -1 for the input, -2 for the output, 0 conv3x3, 1 conv1x1, 2 maxpool.

    Returns:
        32 hexadecimal characters.

    Raises:
        ValueError: the adjacency matrix is not square or has another number of vertices than ``labels``.
    """
    matrix = np.asarray(adjacency).astype(bool)
    size = len(labels)
    if matrix.shape != (size, size):
        raise ValueError(f"cell hash: {size} labels need a {size} x {size} adjacency matrix, got shape {matrix.shape}")
    sources = [np.flatnonzero(matrix[:, v]).tolist() for v in range(size)]
    targets = [np.flatnonzero(matrix[v]).tolist() for v in range(size)]
    digests = [_digest(str((len(targets[v]), len(sources[v]), int(labels[v])))) for v in range(size)]
    for _ in range(size):
        digests = [
            _digest(
                "".join(sorted(digests[w] for w in sources[v]))
                + "|"
                + "".join(sorted(digests[w] for w in targets[v]))
                + "|"
                + digests[v]
            )
            for v in range(size)
        ]
    return _digest(str(sorted(digests)))
