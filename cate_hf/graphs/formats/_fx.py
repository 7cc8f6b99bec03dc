"""Graphs of torch.fx and torch.export (https://docs.pytorch.org/docs/stable/fx.html)."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.formats._named_graph import (
    Ends,
    NamedGraph,
    as_names,
    check_label,
    kernel_label,
    unknown_name,
)
from cate_hf.graphs.formats._torch_names import module_names, one_name

if TYPE_CHECKING:
    import torch

_CALLS = ("call_module", "call_function", "call_method")


def from_fx(
    module: "torch.fx.GraphModule | torch.nn.Module | torch.export.ExportedProgram",
    start: str | Iterable[str] | None = None,
    end: str | Iterable[str] | None = None,
    label: "Callable[[torch.fx.Node], str] | str | None" = None,
    drop: str | Collection[str] = (),
) -> Architecture:
    """Return the architecture of a torch.fx.GraphModule, a torch.nn.Module (traced by torch.fx) or an ExportedProgram.

    Nodes are the calls; otherwise as ``from_onnx``. One operation has one name, whether a module, a function, a method
    or an operator of torch.export computes it, in place or not: the module's class where there is one (Conv2d, ReLU,
    MaxPool2d, Linear; BatchNorm2d, 1d or 3d where torch.export knows the shapes), else the function's (add, mul, cat).
    What one of them does not see stays different: torch.export leaves out Identity, and cuts tensors by slice, not
    getitem.

    Args:
        start, end: names of graph nodes ("layer1_conv"), of modules called once ("layer1.conv"), or of modules with
            others in them ("layer1"), which start where something from outside is read and end where it is left.
        label: function ``torch.fx.Node`` -> operation, or "detailed": Conv3x3/s2 for modules with a kernel.
        drop: operations to leave out by these names, such as ("Identity", "Dropout"). Modules of torch.nn need not
            occur.

    Raises:
        ValueError: as ``from_onnx``, torch.fx cannot trace the module, or nothing has the name of one to drop.
    """
    source, traced, inputs, outputs = _traced(module)
    check_label(label, source)
    starts, ends = as_names(start, "start", source), as_names(end, "end", source)
    calls = [node for node in traced.graph.nodes if node.op in _CALLS]
    kinds = {node: _kind(node, traced) for node in calls}
    there = set(kinds.values())
    left_out = {name if name in there else one_name(name) for name in ([drop] if isinstance(drop, str) else drop)}
    for name in sorted(left_out - there - set(module_names().values())):
        raise unknown_name(source, "operation to drop", name, sorted(there))
    find = _finder(source, inputs, calls)

    graph = NamedGraph(source)
    origin: dict[torch.fx.Node, str] = {}  # where its result comes from
    ways_in: dict[torch.fx.Node, dict[torch.fx.Node, str]] = {}  # the inputs in the place of what it reads
    first: list[tuple[str, str]] = []  # inputs, and what the user called them
    for name in [node.name for node in inputs] if starts is None else starts:
        part = find(name)
        if part[0].op == "placeholder":
            origin[part[0]] = graph.add(part[0].name, "input")
            first.append((origin[part[0]], name))
            continue
        keys: dict[torch.fx.Node, str] = {}
        for node, read in ((n, r) for n in part for r in n.all_input_nodes if r not in part):
            if read.op in _CALLS or read in inputs or len(part) == 1:  # no parameter
                of = node if len(part) == 1 else read
                if of not in keys:
                    keys[of] = graph.add(f"input of {node.name}", "input")
                    first.append((keys[of], name))
                ways_in.setdefault(node, {})[read] = keys[of]
    for node in calls:
        operation = label(node) if callable(label) else _detailed(node, traced, kinds) if label else kinds[node]
        origin[node] = graph.add(node.name, operation)
    for node in calls:
        before = {**origin, **ways_in[node]} if node in ways_in else origin
        for read in node.all_input_nodes:
            if read in before:
                graph.connect(before[read], origin[node])
    last = [(node, node.name) for node in outputs]
    if ends is not None:
        last = [(node, name) for name in ends for node in _left_by(find(name))]
    start_names, end_names = ([name for _, name in pairs] for pairs in (first, last))
    dropped = [origin[node] for node in calls if kinds[node] in left_out]
    return graph.finish(
        Ends([key for key, _ in first], None if starts is None else start_names, "the inputs"),
        Ends([origin.get(node) for node, _ in last], None if ends is None else end_names, "the outputs"),
        dropped,
    )


def _finder(
    source: str, inputs: "list[torch.fx.Node]", calls: "list[torch.fx.Node]"
) -> "Callable[[str], list[torch.fx.Node]]":
    """A function: name of a node or a module -> the node, or all nodes of the module.

    It raises ValueError for a name that nothing has, and for a module that is called more than once.
    """
    known: dict[str, dict[str, list[torch.fx.Node]]] = {n.name: {n.name: [n]} for n in (*inputs, *calls)}
    nodes = set(known)
    for node in calls:
        called = {key: value[0] for key, value in (node.meta.get("nn_module_stack") or {}).items()}
        if node.op == "call_module" and node.target not in called.values():
            called[node.name] = node.target
        for key, path in called.items():
            if path and path not in nodes:
                known.setdefault(path, {}).setdefault(key, []).append(node)

    def find(name: str) -> "list[torch.fx.Node]":
        if name not in known:
            raise unknown_name(source, "node", name, known)
        if len(known[name]) > 1:
            names = ", ".join(repr(part[0].name) for part in known[name].values())
            raise ValueError(f"{source}: {name!r} is called {len(known[name])} times; name one of {names}")
        return next(iter(known[name].values()))

    return find


def _left_by(part: "list[torch.fx.Node]") -> "list[torch.fx.Node]":
    """The nodes of a part whose results are read outside of it."""
    return [node for node in part if any(user not in part for user in node.users)] or part[-1:]


def _traced(module: Any) -> tuple[str, "torch.fx.GraphModule", list["torch.fx.Node"], list["torch.fx.Node"]]:
    """What errors call it, the graph, and the nodes that are its inputs and its results."""
    import torch
    import torch.export

    source = type(module).__name__
    if isinstance(module, torch.export.ExportedProgram):
        # Parameters and buffers are inputs of its graph too, and changed buffers outputs.
        traced, signature = module.graph_module, module.graph_signature
        named = {node.name: node for node in traced.graph.nodes}
        inputs = [named[name] for name in signature.user_inputs if isinstance(name, str) and name in named]
        outputs = [named[name] for name in signature.user_outputs if isinstance(name, str) and name in named]
        return source, traced, inputs, outputs
    if not isinstance(module, torch.nn.Module):
        expected = "a torch.nn.Module, torch.fx.GraphModule or torch.export.ExportedProgram"
        raise ValueError(f"torch.fx: expected {expected}, got {source}")
    if not isinstance(module, torch.fx.GraphModule):
        if type(module).__module__.startswith("torch.nn.") and not list(module.children()):
            module = torch.nn.Sequential(module)  # else its inside would be traced
        try:
            module = torch.fx.symbolic_trace(module)
        except Exception as error:  # whatever the module's own code raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ValueError(f"{source}: torch.fx cannot trace it ({reason}); try torch.export.export(...)") from None
    nodes = list(module.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    return source, module, inputs, [n for node in nodes if node.op == "output" for n in node.all_input_nodes]


def _kind(node: "torch.fx.Node", traced: "torch.fx.GraphModule") -> str:
    """The class of a module, or the one name of a function or method."""
    if node.op == "call_module":
        return type(traced.get_submodule(node.target)).__name__
    packet = getattr(node.target, "overloadpacket", node.target)  # conv2d of torch.ops.aten.conv2d.default
    name = packet if isinstance(packet, str) else getattr(packet, "__name__", None) or type(node.target).__name__
    return one_name(name, node)


def _detailed(node: "torch.fx.Node", traced: "torch.fx.GraphModule", kinds: dict["torch.fx.Node", str]) -> str:
    """For a module with a kernel: its class without 1d, 2d or 3d, the kernel's shape, stride, dilation and groups."""
    module = traced.get_submodule(node.target) if node.op == "call_module" else None
    if not hasattr(module, "kernel_size"):
        return kinds[node]
    dimensions = re.search(r"([123])d$", kinds[node])
    name, count = (kinds[node][:-2], int(dimensions[1])) if dimensions else (kinds[node], 1)
    kernel, stride, dilation = (_sizes(getattr(module, f, 1), count) for f in ("kernel_size", "stride", "dilation"))
    groups = getattr(module, "groups", 1)
    return kernel_label(name, kernel, stride, dilation, groups, groups == getattr(module, "in_channels", None))


def _sizes(value: Any, count: int) -> list[int]:
    return [int(size) for size in value] if isinstance(value, (tuple, list)) else [int(value)] * count
