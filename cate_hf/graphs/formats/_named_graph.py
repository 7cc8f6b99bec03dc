"""What all graph formats share: nodes by name, the part between two points, and the architecture that it makes."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import networkx

from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.formats._networkx import from_networkx
from cate_hf.graphs.table import MAX_NODES

DETAILED = "detailed"
"""The value of ``label`` that asks for labels such as Conv3x3/s2."""


class NamedGraph:
    """A directed graph of labelled nodes, in the order in which they were added.

    Attributes:
        source: what errors call it: a file, or a kind of object.
        graph: nodes are names, with the attribute ``operation``.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.graph = networkx.DiGraph()

    def add(self, name: str, operation: Any) -> str:
        """Add a node and return the name that it got, which differs from ``name`` if that is taken.

        Raises:
            ValueError: ``operation`` is not a non-empty str.
        """
        if not isinstance(operation, str) or not operation:
            raise ValueError(f"{self.source}: node {name!r}: the operation must be a name, got {operation!r}")
        unique, number = name, len(self.graph)
        while unique in self.graph:
            unique = f"{name} {number}"
            number += 1
        self.graph.add_node(unique, operation=operation)
        return unique

    def connect(self, source: str, target: str) -> None:
        self.graph.add_edge(source, target)

    def drop(self, names: Iterable[str]) -> None:
        """Remove nodes; what led to one then leads to all that it led to."""
        for name in names:
            before, after = [*self.graph.predecessors(name)], [*self.graph.successors(name)]
            self.graph.remove_node(name)
            self.graph.add_edges_from((x, y) for x in before for y in after)

    def keep_between(self, starts: "Ends", ends: "Ends") -> None:
        """Remove the nodes that are on no path from a start to an end.

        Raises:
            ValueError: there is no such path, or a start or end that was asked for is on none.
        """
        after, before = _reached(self.graph.successors, starts.nodes), _reached(self.graph.predecessors, ends.nodes)
        kept = after & before
        if not kept:
            raise self._no_path(starts.said, ends.said)
        for node, name in zip(starts.nodes, starts.names or (), strict=False):
            if node not in kept:
                raise self._no_path(repr(name), ends.said)
        for node, name in zip(ends.nodes, ends.names or (), strict=False):
            if node not in kept:
                raise self._no_path(starts.said, repr(name))
        self.graph.remove_nodes_from([name for name in self.graph if name not in kept])

    def _no_path(self, start: str, end: str) -> ValueError:
        return ValueError(f"{self.source}: no path leads from {start} to {end}")

    def finish(self, starts: "Ends", ends: "Ends", dropped: Iterable[str] = ()) -> Architecture:
        """Return what is between starts and ends, without ``dropped``, all ends leading to one new node "output"."""
        self.keep_between(starts, ends)
        output = self.add("output", "output")
        for node in ends.nodes:
            if node is not None and node in self.graph:
                self.connect(node, output)
        self.drop([name for name in dropped if name in self.graph])
        return self.architecture(output)

    def architecture(self, output: str) -> Architecture:
        """Return the graph in topological order: of nodes that could come next the one added first, ``output`` last.

        Raises:
            ValueError: a cycle, a single node, or more nodes than a table of architectures holds.
        """
        if len(self.graph) < 2:
            raise ValueError(f"{self.source}: a single node, an architecture needs an input and an output")
        if len(self.graph) > MAX_NODES:
            raise ValueError(
                f"{self.source}: {len(self.graph):,} nodes, an architecture has at most {MAX_NODES}; choose a part of "
                "it by start and end"
            )
        ordered = networkx.DiGraph()
        ordered.add_nodes_from((n, d) for n, d in self.graph.nodes(data=True) if n != output)
        ordered.add_node(output, **self.graph.nodes[output])
        ordered.add_edges_from(self.graph.edges)
        try:
            return from_networkx(ordered)
        except ValueError as error:
            raise ValueError(f"{self.source}: {str(error).removeprefix('architecture: ')}") from None


@dataclass(frozen=True)
class Ends:
    """Where a graph starts, or where it ends.

    Attributes:
        nodes: names of nodes; None where a constant was asked for.
        names: what the user called them, one a node; None where these are the graph's own.
        own: what an error calls the graph's own.
    """

    nodes: Sequence[str | None]
    names: Sequence[str] | None
    own: str

    @property
    def said(self) -> str:
        return self.own if self.names is None else ", ".join(map(repr, dict.fromkeys(self.names)))


def _reached(neighbours: Callable[[str], Iterable[str]], starts: Iterable[str | None]) -> set[str]:
    """The starts and all that can be reached from them."""
    seen = {name for name in starts if name is not None}
    waiting = list(seen)
    while waiting:
        new = [name for name in neighbours(waiting.pop()) if name not in seen]
        seen.update(new)
        waiting += new
    return seen


def unknown_name(source: str, kind: str, name: Any, known: Iterable[str]) -> ValueError:
    """The error for a name that is not among ``known``, with the nearest one that is."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.0)
    return ValueError(f"{source}: no {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def as_names(names: str | Iterable[str] | None, what: str, source: str) -> list[str] | None:
    """One name or several as a list without repetitions; None stays None.

    Raises:
        ValueError: not names, or none at all.
    """
    if names is None:
        return None
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Iterable) or not (names := list(names)) or not all(isinstance(n, str) for n in names):
        raise ValueError(f"{source}: {what} must be a name or a list of names, got {names!r}")
    return list(dict.fromkeys(names))


def check_label(label: Any, source: str) -> None:
    """Raise ValueError unless ``label`` is None, "detailed" or a function."""
    if label is not None and label != DETAILED and not callable(label):
        raise ValueError(f"{source}: label must be a function of a node, {DETAILED!r} or None, got {label!r}")


def kernel_label(
    name: str, kernel: list[int], strides: list[int], dilations: list[int], groups: int = 1, depthwise: bool = False
) -> str:
    """A label with the shape of a kernel, such as Conv3x3/s2, Conv5x5/dw (depthwise), Conv3/d2 or MaxPool3x3/s2x1."""
    label = name + "x".join(map(str, kernel))
    for letter, sizes in (("s", strides), ("d", dilations)):
        if any(size != 1 for size in sizes):
            label += f"/{letter}" + "x".join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1]))
    if groups != 1:
        label += "/dw" if depthwise else f"/g{groups}"
    return label
