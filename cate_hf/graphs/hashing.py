"""The isomorphism-invariant cell hash of NAS-Bench-101, for one cell and for a table of them.

The hash is the iterated MD5 of ``hash_module`` in google-research/nasbench (Ying et al., "NAS-Bench-101", ICML 2019):
every vertex starts from (out-degree, in-degree, label), absorbs its neighbours' sorted digests once per vertex of the
cell, and the sorted digests of all vertices give the cell's hash.
"""

from collections.abc import Callable, Sequence
from hashlib import md5

import numpy as np

from cate_hf.core.parallel import over_chunks
from cate_hf.graphs.hashes import hash_text


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


# Round constants of MD5 (RFC 1321, section 3.4).
_SINES = (np.abs(np.sin(np.arange(1, 65, dtype=np.float64))) * 2**32).astype(np.uint32)
_SHIFTS = np.repeat(np.array([[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]]), 4, axis=0).ravel()
_START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], dtype=np.uint32)
_FEW = 256  # cells of one size that are hashed faster one by one
_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), dtype="<u2")


def _md5_blocks(messages: np.ndarray) -> np.ndarray:
    """MD5 of n padded messages of the same number of blocks: (n, 64 * blocks) bytes -> (n, 16) bytes."""
    words = np.ascontiguousarray(messages.view("<u4").T)  # (16 * blocks, n)
    n = words.shape[1]
    state = np.empty((4, n), dtype=np.uint32)
    state[:] = _START[:, None]
    f, t = np.empty((2, n), dtype=np.uint32)
    a, b, c, d = np.empty((4, n), dtype=np.uint32)
    for first in range(0, len(words), 16):
        for old, new in zip(state, (a, b, c, d), strict=True):
            new[:] = old
        for step in range(64):
            if step < 16:  # d ^ (b & (c ^ d))
                np.bitwise_xor(c, d, out=f)
                np.bitwise_and(f, b, out=f)
                np.bitwise_xor(f, d, out=f)
                word = step
            elif step < 32:  # c ^ (d & (b ^ c))
                np.bitwise_xor(b, c, out=f)
                np.bitwise_and(f, d, out=f)
                np.bitwise_xor(f, c, out=f)
                word = (5 * step + 1) % 16
            elif step < 48:  # b ^ c ^ d
                np.bitwise_xor(b, c, out=f)
                np.bitwise_xor(f, d, out=f)
                word = (3 * step + 5) % 16
            else:  # c ^ (b | ~d)
                np.invert(d, out=f)
                np.bitwise_or(f, b, out=f)
                np.bitwise_xor(f, c, out=f)
                word = (7 * step) % 16
            np.add(f, a, out=f)
            np.add(f, words[first + word], out=f)
            np.add(f, _SINES[step], out=f)
            np.left_shift(f, np.uint32(_SHIFTS[step]), out=t)
            np.right_shift(f, np.uint32(32 - _SHIFTS[step]), out=f)
            np.bitwise_or(f, t, out=f)
            np.add(f, b, out=a)  # the old a is not needed any more and takes the new b
            a, b, c, d = d, a, b, c
        for total, new in zip(state, (a, b, c, d), strict=True):
            total += new
    return np.ascontiguousarray(state.T).view(np.uint8)


def _md5(messages: np.ndarray, length: int) -> np.ndarray:
    """MD5 (n, 16) of n messages of ``length`` bytes, given with room for the padding: (n, 64 * blocks) bytes."""
    messages[:, length] = 0x80
    messages[:, length + 1 :] = 0
    messages[:, -8:] = np.frombuffer((8 * length).to_bytes(8, "little"), dtype=np.uint8)
    step = 8192  # messages at a time: the working arrays stay in the processor's cache
    return np.concatenate([_md5_blocks(messages[i : i + step]) for i in range(0, len(messages), step)])


def _buffer(n: int, length: int) -> np.ndarray:
    return np.empty((n, 64 * ((length + 9 + 63) // 64)), dtype=np.uint8)


def _put(messages: np.ndarray, at: int, texts: np.ndarray) -> None:
    """Write n texts (S32) into bytes ``at`` to ``at + 32`` of the n messages."""
    field = np.dtype({"names": ["text"], "formats": ["S32"], "offsets": [at], "itemsize": messages.shape[1]})
    messages.view(field)["text"] = texts[:, None]


def _hexadecimal(digests: np.ndarray) -> np.ndarray:
    return _HEX[digests].view("S32").ravel()


def text_hashes(texts: np.ndarray) -> np.ndarray:
    """The MD5 (N,), hexadecimal text, of N texts of the same length: (N, length) bytes."""
    n, length = texts.shape
    if n < 128:  # too few for array operations to be worth it
        return np.array([md5(row.tobytes(), usedforsecurity=False).hexdigest() for row in texts], dtype="U32")
    messages = _buffer(n, length)
    messages[:, :length] = texts
    return hash_text(_hexadecimal(_md5(messages, length)))


def _sort_keys(digests: np.ndarray) -> np.ndarray:
    """Integers that order digests as their texts are ordered; half of the digest is enough to tell two apart."""
    return np.ascontiguousarray(digests[:, :8]).view(">u8").ravel().astype(np.uint64)


def _adjacent(degrees: np.ndarray, neighbours: np.ndarray, vertices: np.ndarray, degree: int) -> np.ndarray:
    """Neighbours (n, degree) of n vertices of that degree, from the lists of all vertices laid end to end."""
    start = np.cumsum(degrees) - degrees
    return neighbours[start[vertices, None] + np.arange(degree)]


def _hash_same_size(adjacency: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Hashes (n,) S32 of n cells that all have V vertices: adjacency (n, V, V), labels (n, V)."""
    n, size = labels.shape
    adjacency = adjacency.astype(bool)
    in_degrees = adjacency.sum(axis=1).ravel()  # all cells' vertices in one row: vertex v of cell i is i * V + v
    out_degrees = adjacency.sum(axis=2).ravel()

    names, labels = np.unique(labels, return_inverse=True)
    kinds, kind = np.unique((out_degrees * size + in_degrees) * len(names) + labels.ravel(), return_inverse=True)
    starts = [(k // len(names) // size, k // len(names) % size, int(names[k % len(names)])) for k in kinds.tolist()]
    digests = np.array([list(md5(str(s).encode(), usedforsecurity=False).digest()) for s in starts], np.uint8)[kind]

    # Vertices of equal degrees have messages of equal layout: those are hashed together.
    cell, target, source = np.nonzero(adjacency.transpose(0, 2, 1))
    sources = cell * size + source
    cell, source, target = np.nonzero(adjacency)
    targets = cell * size + target
    degrees = in_degrees * size + out_degrees
    groups = []
    for degree in np.unique(degrees).tolist():
        vertices = np.flatnonzero(degrees == degree)
        inward = _adjacent(in_degrees, sources, vertices, degree // size)
        outward = _adjacent(out_degrees, targets, vertices, degree % size)
        groups.append((vertices, inward, outward))

    for _ in range(size):
        texts, keys, updated = _hexadecimal(digests), _sort_keys(digests), np.empty_like(digests)
        for vertices, inward, outward in groups:
            length = 32 * (inward.shape[1] + outward.shape[1] + 1) + 2
            messages = _buffer(len(vertices), length)
            at = 0
            for neighbours in (inward, outward):
                order = np.argsort(keys[neighbours], axis=1)
                for column in np.take_along_axis(neighbours, order, axis=1).T:
                    _put(messages, at, texts[column])
                    at += 32
                messages[:, at] = ord("|")
                at += 1
            _put(messages, at, texts[vertices])
            updated[vertices] = _md5(messages, length)
        digests = updated

    order = np.argsort(_sort_keys(digests).reshape(n, size), axis=1)
    texts = np.take_along_axis(_hexadecimal(digests).reshape(n, size), order, axis=1)
    frame = np.frombuffer(str(["x" * 32] * size).encode(), dtype=np.uint8)  # how Python prints a list of V texts
    messages = _buffer(n, len(frame))
    messages[:, : len(frame)] = frame
    for position in range(size):
        _put(messages, 2 + 36 * position, texts[:, position])
    return _hexadecimal(_md5(messages, len(frame)))


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
