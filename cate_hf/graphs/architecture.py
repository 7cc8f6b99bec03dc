"""One neural architecture: a directed acyclic graph whose nodes carry operations."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.graphs import algorithms
from cate_hf.graphs._checks import check_adjacency, check_operations

if TYPE_CHECKING:
    import networkx


class Architecture:
    """An immutable labelled DAG; equal and hashable by its operations and edges as drawn (see ``is_isomorphic``).

    Nodes are in topological order: node 0 is the input (some spaces have two, nodes 0 and 1), the last node the output.
    ``cate_hf.graphs`` reads and writes other forms (``from_onnx``, ``from_fx``, ``from_dot``, ``from_networkx``,
    ``to_dot``) and draws pictures (``draw``); a notebook shows the picture of an architecture by itself.

    Args:
        operations: L >= 2 operation names, one a node.
        adjacency: (L, L) of 0 / 1 (integers, booleans or floats; dense or sparse), ``adjacency[i][j] = 1`` for the edge
            i -> j, i < j.

    Raises:
        ValueError: in one line naming the node, row or edge, if this is no such graph.
    """

    __slots__ = ("__weakref__", "_adjacency", "_operations")
    _operations: tuple[str, ...]
    _adjacency: np.ndarray

    def __init__(self, operations: Sequence[str], adjacency: Any) -> None:
        operations = check_operations(operations)
        self._set(operations, check_adjacency(adjacency, len(operations)))

    @classmethod
    def from_valid(cls, operations: tuple[str, ...], adjacency: np.ndarray) -> "Architecture":
        """Without the checks, for code that made the graph itself: a tuple of str and an (L, L) array of 0 / 1."""
        self = cls.__new__(cls)
        self._set(operations, adjacency)
        return self

    def _set(self, operations: tuple[str, ...], adjacency: np.ndarray) -> None:
        # An array over bytes cannot be made writeable again, not even on purpose.
        size = len(operations)
        frozen = np.frombuffer(np.asarray(adjacency, dtype=np.uint8).tobytes(), dtype=np.uint8).reshape(size, size)
        object.__setattr__(self, "_operations", operations)
        object.__setattr__(self, "_adjacency", frozen)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Architecture is immutable: cannot set {name!r}; make a new one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Architecture is immutable: cannot delete {name!r}")

    def __reduce__(self):
        return type(self).from_valid, (self._operations, np.array(self._adjacency))

    @property
    def operations(self) -> tuple[str, ...]:
        """L operation names."""
        return self._operations

    @property
    def adjacency(self) -> np.ndarray:
        """(L, L) uint8 of 0 / 1, read-only and strictly upper triangular."""
        return self._adjacency

    @property
    def num_nodes(self) -> int:
        """L, input and output included."""
        return len(self._operations)

    @property
    def num_edges(self) -> int:
        """Number of edges."""
        return int(np.count_nonzero(self._adjacency))

    @property
    def edges(self) -> list[tuple[int, int]]:
        """The edges i -> j as pairs (i, j), sorted."""
        return [(int(i), int(j)) for i, j in np.argwhere(self._adjacency)]

    def __len__(self) -> int:
        return len(self._operations)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return self._operations == other._operations and np.array_equal(self._adjacency, other._adjacency)

    def __hash__(self) -> int:
        return hash((self._operations, self._adjacency.tobytes()))

    def __repr__(self) -> str:
        nodes = ", ".join(f"{i} {name}" for i, name in enumerate(self._operations))
        edges = ", ".join(f"{i}->{j}" for i, j in self.edges)
        return f"Architecture({nodes}; edges {edges or 'none'})"

    def prune(self, num_inputs: int = 1) -> "Architecture":
        """Without the nodes that are on no path from an input to the output, and their edges.

        Args:
            num_inputs: the first ``num_inputs`` nodes are inputs. They stay, used or not, and so does the output.

        Raises:
            ValueError: no path leads from an input to the output.
        """
        self._check_num_inputs(num_inputs)
        reach = self.closure()
        if not reach[:num_inputs, -1].any():
            raise ValueError(
                f"architecture: no path from {_inputs_text(num_inputs)} to the output, node {self.num_nodes - 1}"
            )
        keep = reach[:num_inputs].any(axis=0) & (reach[:, -1] > 0)
        keep[:num_inputs] = keep[-1] = True
        if keep.all():
            return self
        kept = np.flatnonzero(keep)
        return Architecture.from_valid(tuple(self._operations[i] for i in kept), self._adjacency[np.ix_(kept, kept)])

    def closure(self, direction: str = "descendants") -> np.ndarray:
        """Transitive closure, (L, L) uint8 with a zero diagonal.

        Args:
            direction: "descendants": out[i, j] = 1 when j is reachable from i; "ancestors": when i is reachable from j.
        """
        if direction not in ("descendants", "ancestors"):
            raise ValueError(f"closure: direction must be 'descendants' or 'ancestors', not {direction!r}")
        reach = self._adjacency.copy()
        for node in range(self.num_nodes - 2, -1, -1):  # successors have higher numbers: their rows are final
            reach[node] |= reach[self._adjacency[node] > 0].any(axis=0).astype(np.uint8)
        return reach if direction == "descendants" else np.ascontiguousarray(reach.T)

    def hash(self, labels: Mapping[str, int] | None = None) -> str:
        """The iterated MD5 of NAS-Bench-101 (cate_hf/graphs/hashing.py): equal for isomorphic architectures.

        Args:
            labels: number of each operation; a space's own are applied by ``space.hash(architecture)``, which gives the
                hash that the benchmark publishes. None: a number made from the name itself.

        Returns:
            32 hexadecimal characters.

        Raises:
            ValueError: ``labels`` lacks an operation of this architecture.
        """
        if labels is None:
            numbers = [int.from_bytes(name.encode("utf-8"), "big") for name in self._operations]
        else:
            for node, name in enumerate(self._operations):
                if name not in labels:
                    known = ", ".join(map(repr, labels))
                    raise ValueError(
                        f"architecture hash: no label for operation {name!r} of node {node}; known: {known}"
                    )
            numbers = [labels[name] for name in self._operations]
        from cate_hf.graphs.hashing import cell_hash  # with compiled functions beside it

        return cell_hash(self._adjacency, numbers)

    def is_isomorphic(self, other: "Architecture") -> bool:
        """Whether the nodes of one can be renumbered so that it becomes the other, operations included (exact)."""
        return algorithms.is_isomorphic(self, other)

    def paths(self, num_inputs: int = 1, limit: int = 100_000) -> list[str]:
        """The operations along every path from an input to the output, e.g. "input|conv3x3-bn-relu|output".

        Args:
            num_inputs: the first ``num_inputs`` nodes are inputs.
            limit: the most paths to list.

        Returns:
            distinct strings, sorted; empty if there is no path.

        Raises:
            ValueError: there are more than ``limit`` paths (their number can grow as 2^L).
        """
        self._check_num_inputs(num_inputs)
        return algorithms.paths(self, num_inputs, limit)

    def edit_distance(self, other: "Architecture", num_inputs: int = 1, timeout_seconds: float = 10.0) -> int:
        """Graph edit distance: the fewest unit changes that turn one into the other (up to isomorphism).

        A unit is an operation substituted, a node inserted or removed, or an edge inserted or removed. Inputs stay
        inputs and the output stays the output. Exact for up to 8 nodes between input and output; beyond that networkx
        searches for ``timeout_seconds`` and the result is then an upper bound.
        """
        self._check_num_inputs(num_inputs)
        other._check_num_inputs(num_inputs)
        return algorithms.edit_distance(self, other, num_inputs, timeout_seconds)

    def to_networkx(self) -> "networkx.DiGraph":
        """Return a graph of nodes 0 .. L-1 with the attribute ``operation``, which ``from_networkx`` reads."""
        return algorithms.to_networkx(self)

    def to_dict(self) -> dict[str, list]:
        """``{"operations": [...], "adjacency": [[...], ...]}`` of Python strings and integers."""
        return {"operations": list(self._operations), "adjacency": self._adjacency.tolist()}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Architecture":
        """From what ``to_dict`` gives, or the same with NAS-Bench-101's names, module_operations and module_adjacency;
        further keys (a hash, an accuracy) are ignored.

        Raises:
            ValueError: a key is missing, or the graph is not valid.
        """
        if not isinstance(row, Mapping):
            raise ValueError(
                f"architecture: expected an object with 'operations' and 'adjacency', got {type(row).__name__}"
            )
        found = []
        for key in ("operations", "adjacency"):
            names = [name for name in (key, f"module_{key}") if name in row]
            if len(names) != 1:
                raise ValueError(f"architecture: field {key!r} is {'there twice' if names else 'missing'}")
            found.append(row[names[0]])
        return cls(*found)

    def to_json(self) -> str:
        """One line of JSON Lines."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        """From what ``to_json`` gives.

        Raises:
            ValueError: not JSON, or as ``from_dict``.
        """
        try:
            row = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"architecture: not valid JSON ({error})") from None
        return cls.from_dict(row)

    def _check_num_inputs(self, num_inputs: int) -> None:
        if not 1 <= num_inputs < self.num_nodes:
            raise ValueError(f"architecture: num_inputs must be 1 to {self.num_nodes - 1}, not {num_inputs}")


def _inputs_text(num_inputs: int) -> str:
    return "the input, node 0," if num_inputs == 1 else f"the inputs, nodes 0 to {num_inputs - 1},"
