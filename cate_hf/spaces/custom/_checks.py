"""Checks of the description of a search space of one's own: each error names the field, in one line."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.spaces.custom._fields import CHAIN, DEFAULT_POOL, MAX_NODES, OUTPUT_NODE, Fields

MAX_OPERATIONS, MAX_INPUTS = 64, 32
DEFAULT_COST = "nodes"
"""The cost of a space whose operations have none: the number of nodes between inputs and output."""
FIELD_NAMES = (
    "name",
    "operations",
    "nodes",
    "input",
    "output",
    "edges",
    "in_degree",
    "out_degree",
    "skeleton",
    "fixed_operations",
    "edge_costs",
    "pairing",
    "pool",
)
_REQUIRED = FIELD_NAMES[:3]
_PAIRING_NAMES = ("cost", "window", "partners")
_MOST_POOL, _MOST_COST, _MOST_PARTNERS = 10_000_000, 1e14, 1000
_LONGEST_NAME = 100
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COLUMNS = ("hash", "operations", "adjacency", "architecture", "encoding", "distance", "edit_distance")
_SPECIAL_TOKENS = ("[PAD]", "[MASK]")


def check_fields(given: Any) -> Fields:
    """The description of a search space, from what its YAML file or its dictionary holds.

    Raises:
        ValueError: a field is unknown (the message has the nearest), missing, of another type or out of its range, or
            fields contradict each other.
    """
    given = _mapping(given, "", FIELD_NAMES, "the description of a search space")
    for name in _REQUIRED:
        if given.get(name) is None:
            raise ValueError(f"{name}: missing; a search space needs {', '.join(_REQUIRED)}")
    given = {name: value for name, value in given.items() if value is not None}
    name = given["name"]
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        raise ValueError(f"name: expected up to 64 letters, digits, dots, dashes and underscores, got {_short(name)}")
    operations, costs = _operations(given["operations"])
    inputs = given.get("input", "input")
    inputs = _names([inputs] if isinstance(inputs, str) else inputs, "input", MAX_INPUTS)
    output = _name(given.get("output", "output"), "output")
    _all_different(("operations", operations), ("input", inputs), ("output", (output,)))
    nodes = _range(given["nodes"], "nodes", 2, MAX_NODES)
    if nodes[0] < len(inputs) + 1:
        raise ValueError(f"nodes: at least {nodes[0]}, but {len(inputs)} inputs and the output are {len(inputs) + 1}")
    limits = {
        name: _range(given[name], name, 1, most)
        for name, most in (("edges", MAX_NODES * MAX_NODES), ("in_degree", MAX_NODES), ("out_degree", MAX_NODES))
        if name in given
    }
    _check_degrees(limits, nodes, len(inputs))
    edge_costs = _costs(given.get("edge_costs", {}), "edge_costs", costs or None)
    costs |= {cost: (0,) * len(operations) for cost in edge_costs if cost not in costs}
    described = Fields(
        name=name,
        operations=operations,
        nodes=nodes,
        inputs=inputs,
        output=output,
        **limits,
        skeleton=_skeleton(given.get("skeleton", ()), nodes, inputs, output),
        fixed_operations=_fixed_operations(given.get("fixed_operations", {}), nodes, inputs, operations),
        costs=costs,
        edge_costs=edge_costs,
        pairing=_pairing(given.get("pairing", {}), costs or (DEFAULT_COST,)),
        pool=_whole(given.get("pool", DEFAULT_POOL), "pool", 1, _MOST_POOL),
    )
    return described


def _short(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."


def _mapping(value: Any, field: str, known: Iterable[str] | None, what: str) -> dict:
    """A mapping from names, which are among the known ones where those are given."""
    where = f"{field}: " if field else ""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}expected {what}, got {_short(value)}")
    for key in value:
        if known is not None and key not in known:
            raise ValueError(f"{where}{unknown('field', _short(key) if not isinstance(key, str) else key, known)}")
    return dict(value)


def _name(value: Any, field: str) -> str:
    if isinstance(value, bool | int | float):
        raise ValueError(f"{field}: expected a name, got {_short(value)}; write it in quotes")
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise ValueError(f"{field}: expected a name of 1 to {_LONGEST_NAME} printable characters, got {_short(value)}")
    if value in _SPECIAL_TOKENS:
        raise ValueError(f"{field}: {value!r} is a token of the tokenizer; choose another name")
    return str(value)


def _names(value: Any, field: str, most: int) -> tuple[str, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"{field}: expected a list of names, got {_short(value)}")
    names = tuple(_name(name, f"{field}[{i}]") for i, name in enumerate(value))
    if not 1 <= len(names) <= most:
        raise ValueError(f"{field}: expected 1 to {most} names, got {len(names)}")
    return names


def _all_different(*named: tuple[str, tuple[str, ...]]) -> None:
    seen: dict[str, str] = {}
    for field, names in named:
        for name in names:
            if name in seen:
                raise ValueError(f"{field}: {name!r} is there twice (also in {seen[name]}); every name needs to differ")
            seen[name] = field


def _operations(value: Any) -> tuple[tuple[str, ...], dict[str, tuple[float, ...]]]:
    """Names, and what they cost: cost -> a number each."""
    if not isinstance(value, Mapping):
        return _names(value, "operations", MAX_OPERATIONS), {}
    names = _names(list(value), "operations", MAX_OPERATIONS)
    each = [_costs({} if costs is None else costs, f"operations.{name}", None) for name, costs in value.items()]
    costs = dict.fromkeys(cost for numbers in each for cost in numbers)
    for name, numbers in zip(names, each, strict=True):
        lacking = next((cost for cost in costs if cost not in numbers), None)
        if lacking:
            raise ValueError(f"operations.{name}: no cost {lacking!r}, which other operations have; expected a number")
    return names, {cost: tuple(numbers[cost] for numbers in each) for cost in costs}


def _costs(value: Any, field: str, known: Iterable[str] | None) -> dict[str, float]:
    costs = _mapping(value, field, None, "costs, such as {parameters: 9216}")
    for cost, number in costs.items():
        if not isinstance(cost, str) or not _IDENTIFIER.fullmatch(cost) or cost in _COLUMNS:
            raise ValueError(f"{field}: expected the name of a cost, such as parameters, got {_short(cost)}")
        if known is not None and cost not in known:
            raise ValueError(f"{field}: {unknown('cost', cost, known)}")
        costs[cost] = _number(number, f"{field}.{cost}", _MOST_COST)
    return costs


_EXPONENT = re.compile(r"\d+(\.\d*)?[eE][+-]?\d+")  # YAML reads 1e6, without a point and a sign, as text


def _number(value: Any, field: str, most: float) -> float:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{field}: expected a number from 0 to {most:g}, got {_short(value)}")
    return value


def _whole(value: Any, field: str, least: int, most: int) -> int:
    value = value.item() if isinstance(value, np.integer) else value
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{field}: expected a whole number from {least} to {most}, got {_short(value)}")
    return value


def _range(value: Any, field: str, least: int, most: int) -> tuple[int, int]:
    """[fewest, most], or one number for both."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"{field}: expected [fewest, most], got {_short(value)}")
        low, high = (_whole(number, f"{field}[{i}]", least, most) for i, number in enumerate(value))
        if low > high:
            raise ValueError(f"{field}: expected [fewest, most], got {_short(value)}")
        return low, high
    number = _whole(value, field, least, most)
    return number, number


def _check_degrees(limits: dict[str, tuple[int, int]], nodes: tuple[int, int], inputs: int) -> None:
    """Whatever the graph, the first node between has only inputs before it, and the last only the output after it."""
    if nodes[1] == inputs + 1:
        return
    if limits.get("in_degree", (1, 1))[0] > inputs:
        least = limits["in_degree"][0]
        raise ValueError(f"in_degree: at least {least}, but the first node after the inputs can have only {inputs}")
    if limits.get("out_degree", (1, 1))[0] > 1:
        least = limits["out_degree"][0]
        raise ValueError(f"out_degree: at least {least}, but the last node before the output can have only 1")


def _node(value: Any, field: str, nodes: tuple[int, int], inputs: tuple[str, ...], output: str | None) -> int:
    """The number of a node that every architecture has, `OUTPUT_NODE` for the output."""
    if isinstance(value, str) and output is not None:
        if value not in (*inputs, output):
            raise ValueError(f"{field}: {unknown('node', value, (*inputs, output))}, or the number of a node")
        return OUTPUT_NODE if value == output else inputs.index(value)
    if output is not None and nodes[0] == nodes[1] and value == nodes[0] - 1 and not isinstance(value, bool):
        return OUTPUT_NODE
    node = _whole(value, field, 0, MAX_NODES)
    if node > nodes[0] - 2:
        raise ValueError(
            f"{field}: node {node} is not in every architecture; the smallest has {nodes[0]} nodes, the last of them"
            " the output" + (f", which is written {output}" if output else "")
        )
    return node


def _skeleton(
    value: Any, nodes: tuple[int, int], inputs: tuple[str, ...], output: str
) -> str | tuple[tuple[int, int], ...]:
    if isinstance(value, str) and value == CHAIN:
        return CHAIN
    if not isinstance(value, list | tuple):
        raise ValueError(f"skeleton: expected {CHAIN}, or edges such as [[0, 1], [1, {output}]], got {_short(value)}")
    edges = []
    for i, edge in enumerate(value):
        field = f"skeleton[{i}]"
        if not isinstance(edge, list | tuple) or len(edge) != 2:
            raise ValueError(f"{field}: expected an edge such as [0, 1], got {_short(edge)}")
        x, y = (_node(end, field, nodes, inputs, output) for end in edge)
        if x == OUTPUT_NODE or 0 <= y < len(inputs):
            raise ValueError(f"{field}: no edge leaves the output or enters an input, got {_short(edge)}")
        if y != OUTPUT_NODE and x >= y:
            raise ValueError(f"{field}: expected an edge from a lower to a higher node, got {_short(edge)}")
        edges.append((x, y))
    return tuple(dict.fromkeys(edges))


def _fixed_operations(
    value: Any, nodes: tuple[int, int], inputs: tuple[str, ...], operations: tuple[str, ...]
) -> dict[int, str]:
    fixed = {}
    for key, operation in _mapping(value, "fixed_operations", None, "operations by node, such as {1: conv}").items():
        field = f"fixed_operations.{key!r:.20}"
        node = _node(key, field, nodes, inputs, None)
        if node < len(inputs):
            raise ValueError(f"{field}: node {node} is an input")
        if operation not in operations:
            raise ValueError(f"{field}: {unknown('operation', _name(operation, field), operations)}")
        fixed[node] = operation
    return fixed


def _pairing(value: Any, costs: Iterable[str]) -> dict[str, Any]:
    pairing = _mapping(value, "pairing", _PAIRING_NAMES, "settings such as {cost: parameters, window: 1000}")
    if "cost" in pairing and pairing["cost"] not in (costs := tuple(costs)):
        raise ValueError(f"pairing.cost: {unknown('cost', _name(pairing['cost'], 'pairing.cost'), costs)}")
    if "window" in pairing:
        pairing["window"] = _number(pairing["window"], "pairing.window", math.inf)
        if pairing["window"] == math.inf:
            raise ValueError("pairing.window: expected a finite number")
    if "partners" in pairing:
        pairing["partners"] = _whole(pairing["partners"], "pairing.partners", 1, _MOST_PARTNERS)
    return pairing
