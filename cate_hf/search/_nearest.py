"""Nearest rows of a table of encodings, by batched matrix products, exact."""

from collections.abc import Sequence

import numpy as np

from cate_hf.core._parallel import over_chunks

_LIST = 256  # neighbours kept of a row
_CHUNK = 32_768


class Nearest:
    """The nearest rows of rows in L2, nearest first, ties by row; what was found is kept for later calls.

    Args:
        encodings: (N, D) float32, finite.
        squared_norms: (N,) float32, of their rows.
    """

    def __init__(self, encodings: np.ndarray, squared_norms: np.ndarray) -> None:
        self.encodings, self.squared_norms = encodings, squared_norms
        self._lists: dict[int, np.ndarray] = {}

    def free(self, row: int, free: np.ndarray, count: int = 1) -> np.ndarray:
        """The `count` nearest rows of `row`, itself left out, among those where free (N,) is true; fewer, where there
        are not so many."""
        length = _LIST
        while True:
            if row not in self._lists or len(self._lists[row]) < length:
                self.find([row], length)
            nearest = self._lists[row]
            found = nearest[free[nearest]][:count]
            if len(found) == count or len(nearest) == len(self.encodings) - 1:
                return found
            length = 4 * len(nearest)

    def find(self, rows: Sequence[int], length: int = _LIST) -> None:
        """Make the lists of rows at once, where there are none so long."""
        most = len(self.encodings) - 1
        length = min(length, most)
        wanted = [row for row in dict.fromkeys(rows) if len(self._lists.get(row, ())) < length]
        if not wanted:
            if length == 0:
                self._lists.update((row, np.empty(0, np.intp)) for row in rows)
            return
        queries = self.encodings[wanted]
        distances = np.empty((len(wanted), len(self.encodings)), np.float32)  # squared, less the query's squared norm

        def fill(part: slice) -> None:
            distances[:, part] = self.squared_norms[part] - 2 * (queries @ self.encodings[part].T)

        over_chunks(fill, len(self.encodings), _CHUNK)
        # What float32 may be wrong by: all that are as near as that to the last are measured in float64.
        rounding = (2 * queries.shape[1] + 8) * 1.2e-7 * float(self.squared_norms.max())

        def select(i: slice) -> np.ndarray:
            row, distance = wanted[i.start], distances[i.start]
            distance[row] = np.inf
            limit = np.partition(distance, length - 1)[length - 1] + rounding
            near = np.flatnonzero(distance <= limit)
            exact = self.encodings[near].astype(np.float64) - self.encodings[row]
            return near[np.argsort(np.einsum("nd,nd->n", exact, exact), kind="stable")[:length]]

        self._lists.update(zip(wanted, over_chunks(select, len(wanted), 1), strict=True))
