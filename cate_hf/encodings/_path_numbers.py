"""The paths from input to output of whole tables of architectures, as numbers.

A path is its input and the operations along it, transparent ones left out. The paths of a space are numbered from 0:
shorter ones first, then by their input, then by their operations in the vocabulary's order, first operation first.
"""

from itertools import product

import numpy as np

from cate_hf.core._compiled import compiled
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

MOST_PATHS = 100_000
_SHORT_PATHS = 120  # truncated encodings take all paths up to a length of which there are at most so many
_CHUNK = 65_536


class PathNumbers:
    """The paths that a space's architectures can have.

    Args:
        longest: leave out those with more operations.

    Attributes:
        lengths: how many operations they have, from the fewest to the most.
        count: P, how many there are.

    Raises:
        ValueError: more than 100,000.
    """

    def __init__(self, space: Space, longest: int | None = None):
        self.space = space
        fewest, most = path_lengths(space)
        self.lengths = range(fewest, min(most, longest if longest is not None else most) + 1)
        self.names = [name for name in space.vocabulary[space.num_inputs : -1] if name not in space.transparent]
        count = count_paths(space, self.lengths)
        if count is None:
            raise ValueError(f"{space.name} has more than {MOST_PATHS:,} possible paths from input to output")
        self.count = count

    def of(self, table: ArchitectureTable) -> tuple[np.ndarray, np.ndarray]:
        """The different paths of each architecture.

        Returns:
            numbers (M,) int64 of all rows, one row after the other and increasing in each, and how many each row has,
            (N,) int64. Paths longer than the longest are not among them.

        Raises:
            ValueError: an operation of another space; the row is named.
        """
        table = self.space.table(table)
        letters = np.full(256, -1, dtype=np.int64)  # of each operation code; -1 for inputs and transparent operations
        for letter, name in enumerate(self.names):
            letters[self.space.vocabulary.index(name)] = letter
        powers = np.array([len(self.names) ** length for length in range(self.lengths.stop)], dtype=np.int64)
        suffixes = np.concatenate([[0], np.cumsum(powers)])
        first = np.full(self.lengths.stop, -1, dtype=np.int64)
        first[self.lengths] = suffixes[:-1][self.lengths] * self.space.num_inputs
        first[self.lengths] -= first[self.lengths.start]
        counts = np.empty(len(table), dtype=np.int64)
        parts = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(table), _CHUNK):
            rows = slice(start, start + _CHUNK)
            arrays = table.operation_codes[rows], table.edge_bits[rows], table.num_nodes[rows]
            found = _number(*arrays, self.space.num_inputs, letters, powers, suffixes, first, counts[rows])
            base = np.repeat(np.arange(len(counts[rows])) * self.count, counts[rows])
            parts.append(np.sort(base + found) - base)
        return np.concatenate(parts), counts

    def texts(self) -> list[str]:
        """The P paths by number, in the form of `Architecture.paths`."""
        inputs, output = self.space.vocabulary[: self.space.num_inputs], self.space.vocabulary[-1]
        return [
            "|".join([start, *names, output])
            for length in self.lengths
            for start in inputs
            for names in product(self.names, repeat=length)
        ]


def path_lengths(space: Space) -> tuple[int, int]:
    """The fewest and the most operations on a path."""
    return space.path_lengths or (0, space.max_nodes - space.num_inputs - 1)


def count_paths(space: Space, lengths: range) -> int | None:
    """How many paths of these lengths there may be; None for more than `MOST_PATHS`."""
    letters = len(space.vocabulary) - space.num_inputs - 1 - len(space.transparent)
    total, power = 0, letters**lengths.start
    for _ in lengths:
        total += space.num_inputs * power
        power *= letters
        if total > MOST_PATHS:
            return None
    return total


def short_length(space: Space) -> int:
    """The longest paths of the truncated encodings: fewer operations than the longest of all, but at least one."""
    fewest, most = path_lengths(space)
    start = max(fewest, 1)
    counts = {length: count_paths(space, range(fewest, length + 1)) for length in range(start, most)}
    fitting = [length for length, count in counts.items() if count is not None and count <= _SHORT_PATHS]
    return max(fitting, default=min(start, most))


@compiled(nogil=True)
def _number(codes, bits, sizes, num_inputs, letters, powers, suffixes, first, counts):
    """Path numbers of all rows, those of a row in any order; writes how many each has.

    Backward through the nodes, each gets the different suffixes of the paths through it: lists of operations up to the
    output, of at most `len(powers) - 1`. One of n operations is known by the number that its letters make, plus
    `suffixes[n]`. `seen` has the last node at which a suffix was met.
    """
    most_nodes, longest = codes.shape[1], len(powers) - 1
    total_suffixes = suffixes[-1]
    suffix = np.empty((most_nodes, total_suffixes), np.int64)
    length = np.empty((most_nodes, total_suffixes), np.int64)
    found = np.empty(most_nodes, np.int64)
    seen = np.full(total_suffixes, -1, np.int64)
    numbers = np.empty(16 * len(codes) + 16, np.int64)
    total = visit = 0
    for row in range(len(codes)):
        output = np.int64(sizes[row]) - 1
        suffix[output, 0] = length[output, 0] = 0
        found[output] = 1
        start = total
        for node in range(output - 1, -1, -1):
            visit += 1
            letter = letters[codes[row, node]]
            some = 0
            for after in range(node + 1, output + 1):
                edge = node + after * (after - 1) // 2
                if not bits[row, edge >> 3] >> (edge & 7) & 1:
                    continue
                for i in range(found[after]):
                    known, n = suffix[after, i], length[after, i]
                    if letter >= 0:
                        if n == longest:
                            continue
                        known += suffixes[n + 1] - suffixes[n] + letter * powers[n]
                        n += 1
                    if seen[known] != visit:
                        seen[known] = visit
                        suffix[node, some], length[node, some] = known, n
                        some += 1
            found[node] = some
            if node < num_inputs:
                for i in range(some):
                    n = length[node, i]
                    if first[n] < 0:
                        continue
                    if total == len(numbers):
                        longer = np.empty(2 * total, np.int64)
                        longer[:total] = numbers
                        numbers = longer
                    numbers[total] = first[n] + node * powers[n] + suffix[node, i] - suffixes[n]
                    total += 1
        counts[row] = total - start
    return numbers[:total].copy()
