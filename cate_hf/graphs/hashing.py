"""The isomorphism-invariant cell hash of NAS-Bench-101, for one cell and for a table of them.

The hash is the iterated MD5 of ``hash_module`` in google-research/nasbench (Ying et al., "NAS-Bench-101", ICML 2019):
every vertex starts from (out-degree, in-degree, label), absorbs its neighbours' sorted digests once per vertex of the
cell, and the sorted digests of all vertices give the cell's hash.
"""

from collections.abc import Callable, Sequence
from hashlib import md5

import numpy as np

from cate_hf.core._compiled import compiled
from cate_hf.core._parallel import over_chunks
from cate_hf.graphs._hashes import hash_text
from cate_hf.graphs._md5 import LANES, digest_batch, digests, pad


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


_FEW = 1024  # that many are faster one by one than compiled functions are loaded


def text_hashes(texts: np.ndarray) -> np.ndarray:
    """The MD5 (N,), hexadecimal text, of N texts of the same length: (N, length) bytes."""
    n = len(texts)
    if n < _FEW:
        return np.array([md5(row.tobytes(), usedforsecurity=False).hexdigest() for row in texts], dtype="U32")
    hashes = np.empty((n, 32), dtype=np.uint8)
    digests(np.ascontiguousarray(texts), hashes)
    return hash_text(hashes.view("S32").ravel())


@compiled(nogil=True)
def _ordered(texts, count, order):
    """Sort the indices order[:count] by their texts (V, 32); half of a text is enough to tell two apart."""
    for i in range(1, count):
        held, j = order[i], i
        while j > 0:
            other, byte = order[j - 1], 0
            while byte < 16 and texts[other, byte] == texts[held, byte]:
                byte += 1
            if byte == 16 or texts[other, byte] < texts[held, byte]:
                break
            order[j] = other
            j -= 1
        order[j] = held


@compiled(nogil=True)
def _hash_cells(adjacency, starts, frame, hashes):
    """Write the hashes of n cells that all have V vertices, as text, to hashes (n, 32) uint8.

    adjacency (n, V, V) uint8; starts (n, V, 32) uint8, the vertices' first digests as text; frame uint8, how Python
    prints a list of V texts.
    """
    n, size = adjacency.shape[:2]
    texts = np.empty((2, LANES, size, 32), dtype=np.uint8)  # of the last round and of this one, in turn
    written = np.empty((LANES, 32), dtype=np.uint8)
    longest = max(32 * size + 2, len(frame))
    messages = np.empty((LANES, 64 * ((longest + 9 + 63) // 64)), dtype=np.uint8)
    blocks = np.zeros(LANES, dtype=np.int64)
    order = np.empty(size, dtype=np.int64)
    for first in range(0, n, LANES):
        batch = min(LANES, n - first)
        for lane in range(batch, LANES):
            blocks[lane] = 0
        for lane in range(batch):
            for vertex in range(size):
                for byte in range(32):
                    texts[0, lane, vertex, byte] = starts[first + lane, vertex, byte]
        for turn in range(size):
            for vertex in range(size):
                for lane in range(batch):
                    message, text, at = messages[lane], texts[turn & 1, lane], 0
                    for outward in range(2):
                        count = 0
                        for other in range(size):
                            x, y = (vertex, other) if outward else (other, vertex)
                            if adjacency[first + lane, x, y]:
                                order[count] = other
                                count += 1
                        _ordered(text, count, order)
                        for i in range(count):
                            for byte in range(32):
                                message[at + byte] = text[order[i], byte]
                            at += 32
                        message[at] = 124
                        at += 1
                    for byte in range(32):
                        message[at + byte] = text[vertex, byte]
                    blocks[lane] = pad(message, at + 32)
                digest_batch(messages, blocks, written)
                for lane in range(batch):
                    for byte in range(32):
                        texts[1 - (turn & 1), lane, vertex, byte] = written[lane, byte]
        for lane in range(batch):
            message, text = messages[lane], texts[size & 1, lane]
            for vertex in range(size):
                order[vertex] = vertex
            _ordered(text, size, order)
            for byte in range(len(frame)):
                message[byte] = frame[byte]
            for i in range(size):
                for byte in range(32):
                    message[2 + 36 * i + byte] = text[order[i], byte]
            blocks[lane] = pad(message, len(frame))
        digest_batch(messages, blocks, written)
        for lane in range(batch):
            for byte in range(32):
                hashes[first + lane, byte] = written[lane, byte]


def _hash_same_size(adjacency: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Hashes (n,) S32 of n cells that all have V vertices: adjacency (n, V, V), labels (n, V)."""
    size = labels.shape[1]
    adjacency = np.ascontiguousarray(adjacency != 0, dtype=np.uint8)
    in_degrees, out_degrees = adjacency.sum(axis=1, dtype=np.int64), adjacency.sum(axis=2, dtype=np.int64)
    names, named = np.unique(labels, return_inverse=True)
    kinds, kind = np.unique(
        (out_degrees * size + in_degrees) * len(names) + named.reshape(labels.shape), return_inverse=True
    )
    starts = [(k // len(names) // size, k // len(names) % size, int(names[k % len(names)])) for k in kinds.tolist()]
    texts = np.array([_digest(str(start)) for start in starts], dtype="S32").view(np.uint8).reshape(-1, 32)
    frame = np.frombuffer(str(["x" * 32] * size).encode(), dtype=np.uint8)
    hashes = np.empty((len(labels), 32), dtype=np.uint8)
    _hash_cells(adjacency, texts[kind.reshape(labels.shape)], frame, hashes)
    return hashes.view("S32").ravel()


def cell_hashes(
    adjacency: np.ndarray,
    labels: np.ndarray,
    num_nodes: np.ndarray,
    on_progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """The hash of ``cell_hash`` for N cells at once.

    Args:
        adjacency: (N, L, L) of 0/1; a cell's vertices come first, unused positions last.
        labels: (N, L) integers, as for ``cell_hash``; those of unused positions are ignored.
        num_nodes: (N,) number of vertices of each cell.
        on_progress: called with the number of cells finished, after each chunk.

    Returns:
        (N,) text (<U32), hexadecimal.
    """
    num_nodes = np.asarray(num_nodes)
    hashes = np.empty(len(num_nodes), dtype="S32")
    chunks = []
    for size in np.unique(num_nodes).tolist():
        rows = np.flatnonzero(num_nodes == size)
        chunks += [(size, rows[i : i + 16384]) for i in range(0, len(rows), 16384)]

    def work(chunk: slice) -> None:
        size, rows = chunks[chunk.start]
        if len(rows) < _FEW:
            hashes[rows] = [cell_hash(adjacency[row, :size, :size], labels[row, :size].tolist()) for row in rows]
        else:
            hashes[rows] = _hash_same_size(adjacency[rows, :size, :size], labels[rows, :size])
        if on_progress is not None:
            on_progress(len(rows))

    over_chunks(work, len(chunks), 1, products=False)
    return hash_text(hashes)
