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

    Nodes are the calls, named by the class of the module, the function or the method; otherwise as ``from_onnx``.

    Args:
        start, end: names of graph nodes ("layer1_conv") or of modules called once ("layer1.conv").
        label: function ``torch.fx.Node`` -> operation, or "detailed": Conv3x3/s2 for modules with a kernel.
        drop: classes and functions to leave out, such as ("Identity", "Dropout").

    Raises:
        ValueError: as ``from_onnx``, or torch.fx cannot trace the module.
    """
    source, traced, inputs, outputs = _traced(module)
    check_label(label, source)
    starts, ends = as_names(start, "start", source), as_names(end, "end", source)
    left_out = {drop} if isinstance(drop, str) else set(drop)
    calls = [node for node in traced.graph.nodes if node.op in _CALLS]
    known = {node.name: [node] for node in (*inputs, *calls)}
    for node in calls:
        if node.op == "call_module" and node.target not in known:
            known[node.target] = [other for other in calls if other.op == node.op and other.target == node.target]

    def find(name: str) -> "torch.fx.Node":
        if name not in known:
            raise unknown_name(source, "node", name, known)
        if len(known[name]) > 1:
            names = ", ".join(repr(node.name) for node in known[name])
            raise ValueError(f"{source}: {name!r} is called {len(known[name])} times; name one of {names}")
        return known[name][0]

    graph = NamedGraph(source)
    origin: dict[torch.fx.Node, str] = {}  # where its result comes from
    ways_in: dict[torch.fx.Node, str] = {}  # its only way in
    for node in inputs if starts is None else map(find, starts):
        key = graph.add(node.name if node.op == "placeholder" else f"input of {node.name}", "input")
        (origin if node.op == "placeholder" else ways_in)[node] = key
    start_keys = list(graph.graph)
    kinds = {node: _kind(node, traced) for node in calls}
    for node in calls:
        name = label(node) if callable(label) else _detailed(node, traced, kinds) if label else kinds[node]
        origin[node] = graph.add(node.name, name)
    for node in calls:
        before = [ways_in[node]] if node in ways_in else [origin[n] for n in node.all_input_nodes if n in origin]
        for key in before:
            graph.connect(key, origin[node])
    end_keys = [origin.get(node) for node in (outputs if ends is None else map(find, ends))]
    dropped = [origin[node] for node in calls if kinds[node] in left_out]
    return graph.finish(Ends(start_keys, starts, "the inputs"), Ends(end_keys, ends, "the outputs"), dropped)


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
        try:
            module = torch.fx.symbolic_trace(module)
        except Exception as error:  # whatever the module's own code raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ValueError(f"{source}: torch.fx cannot trace it ({reason}); try torch.export.export(...)") from None
    nodes = list(module.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    return source, module, inputs, [n for node in nodes if node.op == "output" for n in node.all_input_nodes]


def _kind(node: "torch.fx.Node", traced: "torch.fx.GraphModule") -> str:
    """The class of a module, or the name of a function or method."""
    if node.op == "call_module":
        return type(traced.get_submodule(node.target)).__name__
    if node.op == "call_method":
        return node.target
    packet = getattr(node.target, "overloadpacket", node.target)  # conv2d of torch.ops.aten.conv2d.default
    return getattr(packet, "__name__", None) or type(node.target).__name__


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
