"""What a description of a search space of one's own says, as one object; see docs/reference/space_file.md."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

MAX_NODES = 200
DEFAULT_POOL = 100_000
OUTPUT_NODE = -1
"""The output in `Fields.skeleton`: its number depends on the number of nodes."""
CHAIN = "chain"
_FORMAT = 1  # changes when the same description would mean other architectures, costs or samples


@dataclass(frozen=True)
class Fields:
    """A description that has been checked (`cate_hf.spaces.custom._checks.check_fields`).

    Attributes:
        nodes, edges: the fewest and the most, inputs and output included; edges None where they are not limited.
        in_degree, out_degree: the fewest and the most edges of the nodes between inputs and output.
        skeleton: edges that must be there, as pairs of nodes (`OUTPUT_NODE` for the output), or "chain".
        fixed_operations: node -> operation.
        costs: cost -> what each operation costs, in their order; edge_costs: cost -> what an edge costs.
        pool: how many samples stand for the space where it is not listed whole.
    """

    name: str
    operations: tuple[str, ...]
    nodes: tuple[int, int]
    inputs: tuple[str, ...] = ("input",)
    output: str = "output"
    edges: tuple[int, int] | None = None
    in_degree: tuple[int, int] = (1, MAX_NODES)
    out_degree: tuple[int, int] = (1, MAX_NODES)
    skeleton: str | tuple[tuple[int, int], ...] = ()
    fixed_operations: dict[int, str] = field(default_factory=dict)
    costs: dict[str, tuple[float, ...]] = field(default_factory=dict)
    edge_costs: dict[str, float] = field(default_factory=dict)
    pairing: dict[str, Any] = field(default_factory=dict)
    pool: int = DEFAULT_POOL

    def __post_init__(self):
        if not self.sizes():
            least, most = self.nodes
            needed, possible = self.fewest_edges(least), self.most_edges(most)
            raise ValueError(
                f"edges: {_range_text(self.edges)}, but architectures of {_range_text(self.nodes)} nodes"
                f" within the other limits have {needed} to {possible}"
            )

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def sizes(self) -> list[tuple[int, int, int]]:
        """The numbers of nodes that the limits leave, each with the fewest and the most edges of that many."""
        found = []
        for nodes in range(self.nodes[0], self.nodes[1] + 1):
            fewest, most = self.fewest_edges(nodes), self.most_edges(nodes)
            if self.edges is not None:
                fewest, most = max(fewest, self.edges[0]), min(most, self.edges[1])
            if fewest <= most:
                found.append((nodes, fewest, most))
        return found

    def fewest_edges(self, nodes: int) -> int:
        """No architecture of so many nodes has fewer: each node between needs its predecessors, the output one."""
        between = nodes - self.num_inputs - 1
        return max(between * self.in_degree[0] + 1, len(self.skeleton_edges(nodes)))

    def most_edges(self, nodes: int) -> int:
        """No architecture of so many nodes has more."""
        between = range(self.num_inputs, nodes - 1)
        into = sum(min(self.in_degree[1], node) for node in between) + nodes - 1
        out = sum(min(self.out_degree[1], nodes - 1 - node) for node in between)
        return min(into, out + self.num_inputs * (nodes - self.num_inputs))

    def skeleton_edges(self, nodes: int) -> list[tuple[int, int]]:
        """The skeleton of an architecture of so many nodes, the output by its number."""
        if isinstance(self.skeleton, str):
            return [(node - 1, node) for node in range(self.num_inputs, nodes)]
        return [(x, nodes - 1 if y == OUTPUT_NODE else y) for x, y in self.skeleton]

    def to_dict(self) -> dict[str, Any]:
        """What `check_fields` takes; fields that are as they would be without are left out."""
        told: dict[str, Any] = {"name": self.name, "operations": list(self.operations)}
        if self.costs:
            told["operations"] = {
                operation: {cost: numbers[i] for cost, numbers in self.costs.items()}
                for i, operation in enumerate(self.operations)
            }
        told["input"] = self.inputs[0] if self.num_inputs == 1 else list(self.inputs)
        told |= {"output": self.output, "nodes": list(self.nodes)}
        if self.edges is not None:
            told["edges"] = list(self.edges)
        for name in ("in_degree", "out_degree"):
            if getattr(self, name) != (1, MAX_NODES):
                told[name] = list(getattr(self, name))
        if isinstance(self.skeleton, str):
            told["skeleton"] = self.skeleton
        elif self.skeleton:
            told["skeleton"] = [[x, self.output if y == OUTPUT_NODE else y] for x, y in self.skeleton]
        for name in ("fixed_operations", "edge_costs", "pairing"):
            if getattr(self, name):
                told[name] = dict(getattr(self, name))
        if self.pool != DEFAULT_POOL:
            told["pool"] = self.pool
        return told

    def digest(self) -> str:
        """12 hexadecimal characters of all that architectures, costs and samples depend on."""
        told = self.to_dict()
        for name in ("name", "pairing", "pool"):
            told.pop(name, None)
        text = json.dumps([_FORMAT, list(told["operations"]), told], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]

    def limits(self) -> str:
        """The limits in words, for a message."""
        parts = [f"nodes {_range_text(self.nodes)}"]
        if self.edges is not None:
            parts.append(f"edges {_range_text(self.edges)}")
        for name in ("in_degree", "out_degree"):
            if getattr(self, name) != (1, MAX_NODES):
                parts.append(f"{name} {_range_text(getattr(self, name))}")
        if self.skeleton:
            parts.append("the skeleton")
        if self.fixed_operations:
            parts.append("fixed_operations")
        return ", ".join(parts)


def _range_text(limits: tuple[int, int] | None) -> str:
    if limits is None:
        return "any number"
    return str(limits[0]) if limits[0] == limits[1] else f"{limits[0]} to {limits[1]}"
