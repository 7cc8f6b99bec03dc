"""Graphs of ONNX models (https://onnx.ai/onnx/repo-docs/IR.html), read by the package onnx; nothing is executed."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
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
    import onnx


def from_onnx(
    model_or_path: "onnx.ModelProto | str | os.PathLike",
    start: str | Iterable[str] | None = None,
    end: str | Iterable[str] | None = None,
    label: "Callable[[onnx.NodeProto], str] | str | None" = None,
    drop: str | Collection[str] = (),
) -> Architecture:
    """Return the architecture of an ONNX model or file: its operators between nodes "input" and one node "output".

    Constants, and what is on no path from input to output, are left out. The weights, which may be in files of their
    own, are not needed, and nothing is executed.

    Args:
        start, end: names of tensors or nodes (a tensor's goes first), each one or a list: keep only what lies between.
            A start stands for an input: of the tensor's readers, or of that node. The graph's own when None.
        label: function ``onnx.NodeProto`` -> operation, or "detailed" for Conv3x3/s2 and such; the operator type when
            None.
        drop: operator types to leave out, their inputs led on, such as ("Identity", "Dropout").

    Raises:
        ValueError: not an ONNX model, an unknown name (with the nearest), no path, or more than 1,024 nodes.
        FileNotFoundError: no such file.
    """
    source, model = _read(model_or_path)
    check_label(label, source)
    proto = model.graph
    if not proto.node:
        raise ValueError(f"{source}: a model without a graph, or not an ONNX model")
    constants = {tensor.name: list(tensor.dims) for tensor in proto.initializer}
    constants |= {tensor.values.name: list(tensor.dims) for tensor in proto.sparse_initializer}
    inputs = [value.name for value in proto.input if value.name not in constants]
    outputs = [value.name for value in proto.output]
    names = _Names(source, proto, inputs, constants)
    starts, ends = as_names(start, "start", source), as_names(end, "end", source)
    left_out = {drop} if isinstance(drop, str) else set(drop)

    # A tensor that is a start comes from its input node alone, and a node that is a start has no other way in.
    graph = NamedGraph(source)
    origin: dict[str, str] = {}
    ways_in: dict[int, str] = {}
    start_keys: list[str] = []
    keys: list[str] = []
    for name in inputs if starts is None else starts:
        place = names.find(name)
        start_keys.append(graph.add(name if place is None else f"input of {name}", "input"))
        if place is None:
            origin[name] = start_keys[-1]
        else:
            ways_in[place] = start_keys[-1]
    for node in proto.node:
        operation = label(node) if callable(label) else _detailed(node, constants) if label else node.op_type
        keys.append(graph.add(node.name or f"{node.op_type} {len(keys)}", operation))
        for name in filter(None, node.output):
            origin.setdefault(name, keys[-1])
    for place, node in enumerate(proto.node):
        before = [ways_in[place]] if place in ways_in else [origin[n] for n in _inputs(node) if n in origin]
        for key in before:
            graph.connect(key, keys[place])
    end_keys = []
    for name in outputs if ends is None else ends:
        place = None if ends is None else names.find(name)
        end_keys.append(origin.get(name) if place is None else keys[place])
    dropped = [key for key, node in zip(keys, proto.node, strict=True) if node.op_type in left_out]
    return graph.finish(Ends(start_keys, starts, "the inputs"), Ends(end_keys, ends, "the outputs"), dropped)


def _read(model_or_path: Any) -> tuple[str, "onnx.ModelProto"]:
    """What errors call the model, and the model, without its external data."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise ValueError("reading ONNX graphs needs the package onnx: pip install 'cate_hf[graphs]'") from None

    if isinstance(model_or_path, onnx.ModelProto):
        return "ONNX model", model_or_path
    if not isinstance(model_or_path, (str, os.PathLike)):
        raise ValueError(f"ONNX: expected a path or an onnx.ModelProto, got {type(model_or_path).__name__}")
    path = Path(model_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except (DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not an ONNX model ({' '.join(str(error).split())})") from None
    return str(path), model


class _Names:
    """What the tensors and nodes of a graph are called."""

    def __init__(self, source: str, proto: "onnx.GraphProto", inputs: list[str], constants: Collection[str]) -> None:
        self.source, self.constants = source, constants
        self.tensors = dict.fromkeys(inputs)
        self.nodes: dict[str, list[int]] = {}
        for place, node in enumerate(proto.node):
            for text in (node.name, node.op_type, *node.input, *node.output):
                if isinstance(text, bytes):  # what protobuf gives for text that is not UTF-8
                    raise ValueError(f"{source}: damaged, the name {text!r} is not UTF-8 text")
            self.nodes.setdefault(node.name, []).append(place)
            for name in filter(None, node.output):
                if name in self.tensors:
                    raise ValueError(f"{source}: node {node.name!r}: tensor {name!r} has been made before")
                self.tensors[name] = None

    def find(self, name: str) -> int | None:
        """None for a tensor, or which node has that name.

        Raises:
            ValueError: no tensor or node, or several nodes.
        """
        if name in self.tensors:
            return None
        if name in self.constants:
            raise ValueError(f"{self.source}: {name!r} is a constant; expected a node or a tensor that is computed")
        if not name or name not in self.nodes:
            known = [*self.tensors, *filter(None, self.nodes)]
            raise unknown_name(self.source, "tensor or node", name, known)
        if len(self.nodes[name]) > 1:
            count = len(self.nodes[name])
            raise ValueError(f"{self.source}: {count} nodes have the name {name!r}; give the name of a tensor")
        return self.nodes[name][0]


def _inputs(node: "onnx.NodeProto") -> Iterator[str]:
    """Tensors that a node reads, those included that the graphs of If, Loop and Scan take from around them."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            own = {value.name for value in (*graph.input, *graph.initializer)}
            own |= {tensor.values.name for tensor in graph.sparse_initializer}
            own |= {name for inner in graph.node for name in inner.output}
            used = [name for inner in graph.node for name in _inputs(inner)] + [value.name for value in graph.output]
            yield from (name for name in dict.fromkeys(used) if name not in own)


def _detailed(node: "onnx.NodeProto", constants: dict[str, list[int]]) -> str:
    """The operation type with the kernel's shape, stride, dilation and groups, where there is a kernel."""
    numbers = {a.name: list(a.ints) or [a.i] for a in node.attribute}
    weights = constants.get(node.input[1], []) if "Conv" in node.op_type and len(node.input) > 1 else []
    kernel = numbers.get("kernel_shape") or weights[2:]
    if not kernel:
        return node.op_type
    groups = numbers.get("group", [1])[0]
    inputs = weights[:1] if node.op_type == "ConvTranspose" else [size * groups for size in weights[1:2]]
    strides, dilations = numbers.get("strides", []), numbers.get("dilations", [])
    return kernel_label(node.op_type, kernel, strides, dilations, groups, inputs == [groups])
