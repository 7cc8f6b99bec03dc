"""The sets of paths that architectures of a space's pool have: which there are, and which are near to one."""

import numpy as np

from cate_hf.encodings._path_numbers import PathNumbers
from cate_hf.graphs.table import ArchitectureTable

_SETS = 1 << 17  # compared at a time


class PathSets:
    """The different sets of paths of a table's architectures, those of fewer paths first.

    Args:
        numbers: which paths count; architectures that differ in others have the same set.

    Attributes:
        sizes: (U,) how many paths each set has.
        average: mean number of paths of the table's architectures.
    """

    def __init__(self, numbers: PathNumbers, table: ArchitectureTable):
        self.table, self._numbers = table, numbers
        paths, counts = numbers.of(table)
        ends = np.cumsum(counts)
        starts = ends - counts
        # Sets are told apart by the exclusive or of 64 random bits a path: two of a million are confused once in 10^7.
        codes = np.random.default_rng(0).integers(0, 2**64, numbers.count, dtype=np.uint64)
        prefixes = np.concatenate([[np.uint64(0)], np.bitwise_xor.accumulate(codes[paths])])
        keys = prefixes[ends] ^ prefixes[starts]
        order = np.lexsort([keys, counts])
        new = np.ones(len(order), dtype=bool)
        new[1:] = keys[order][1:] != keys[order][:-1]
        self._rows = order  # of the table, those of one set side by side
        self._first = np.flatnonzero(new)
        self._members = np.diff(self._first, append=len(order))
        chosen = order[self._first]
        self.sizes = counts[chosen]
        self.average = float(counts.mean())
        # (U, most) numbers of paths; the places left hold P, which is in no set.
        self._paths = np.full((len(chosen), int(self.sizes.max(initial=0))), numbers.count, dtype=np.int32)
        used = np.arange(self._paths.shape[1]) < self.sizes[:, None]
        places = np.arange(self.sizes.sum()) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        self._paths[used] = paths[np.repeat(starts[chosen], self.sizes) + places]

    def __len__(self) -> int:
        return len(self.sizes)

    def of_size(self, size: int) -> range:
        """The sets that have so many paths."""
        return range(*np.searchsorted(self.sizes, [size, size + 1]).tolist())

    def members(self, sets: np.ndarray, rng: np.random.Generator) -> ArchitectureTable:
        """For each of some sets one of its architectures, each as likely."""
        return self.table[self._rows[self._first[sets] + rng.integers(0, self._members[sets])]]

    def near(self, paths: np.ndarray, size: int) -> tuple[int, np.ndarray]:
        """The sets of a size that are nearest to a set of paths, itself aside.

        Returns:
            the number of paths that are in one and not in the other, and which sets.
        """
        own = np.zeros(self._numbers.count + 1, dtype=bool)
        own[paths] = True
        sets, best, nearest = self.of_size(size), np.iinfo(np.int64).max, [np.empty(0, dtype=np.int64)]
        for start in range(sets.start, sets.stop, _SETS):
            part = self._paths[start : min(start + _SETS, sets.stop), :size]
            distances = size + len(paths) - 2 * own[part].sum(axis=1)
            distances[distances == 0] = best
            least = int(distances.min())
            if least < best:
                best, nearest = least, []
            if least == best < np.iinfo(np.int64).max:
                nearest.append(start + np.flatnonzero(distances == best))
        return best, np.concatenate(nearest)
