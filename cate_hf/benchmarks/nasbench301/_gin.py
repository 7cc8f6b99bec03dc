"""The graph isomorphism network of NAS-Bench-301 (Siems et al. 2020, section 4; the layers are those of Hu et al.,
"Open Graph Benchmark", NeurIPS 2020, with a virtual node).

Both cells are one graph of 14 nodes: of each cell the two inputs, four intermediate nodes and the output; edges carry
operations. Five edges of no operation join the cells. The official code lists the edges of a cell by source but their
operations by target, so most operations stand on another edge than theirs; the published weights were fitted to that,
and it is done here too.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.spaces.darts.configurations import ABSENT, to_edges
from cate_hf.spaces.darts.genotypes import ENTRIES, NODES
from cate_hf.spaces.darts.pairs import Cells

if TYPE_CHECKING:
    import torch

CELL_NODES = NODES + 3
EDGE_KINDS = 8  # none, then the 7 operations
_NODE_KINDS = np.array([0, 1, 2, 2, 2, 2, 3] * 2)
_MOST_NEIGHBOURS = 8
_NONE = 0
_JOINS = np.array([[6, 6, 6, 13, 13], [6, 7, 8, 0, 1]])
_OUTPUTS = np.array([[2, 3, 4, 5], [6, 6, 6, 6]])
_EDGE_ENDS = np.array([(value, 2 + node) for node in range(NODES) for value in range(2 + node)])
_BATCH = 1024
_POOLING = ("mean", "sum", "max")


def graphs(cells: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sources, targets and kinds (N, 29) of the edges, and numbers of neighbours (N, 14)."""
    ends, kinds = [], []
    for number, cell in enumerate(cells):
        edges, _ = to_edges(*cell)
        present = np.nonzero(edges != ABSENT)[1].reshape(-1, ENTRIES)  # by target, then source
        order = np.lexsort((_EDGE_ENDS[present, 1], _EDGE_ENDS[present, 0]), axis=-1)
        sorted_ends = _EDGE_ENDS[np.take_along_axis(present, order, axis=1)]  # by source, then target
        outputs = np.broadcast_to(_OUTPUTS.T, (len(edges), NODES, 2))
        ends.append(np.concatenate([sorted_ends, outputs], axis=1) + CELL_NODES * number)
        operations = np.take_along_axis(edges, present, axis=1).astype(np.int64) + 1
        kinds += [operations, np.full((len(edges), NODES), _NONE)]
    ends.append(np.broadcast_to(_JOINS.T, (cells.number, *_JOINS.T.shape)))
    kinds.append(np.full((cells.number, _JOINS.shape[1]), _NONE))
    source, target = np.concatenate(ends, axis=1).transpose(2, 0, 1)
    near = np.zeros((cells.number, 2 * CELL_NODES, 2 * CELL_NODES), dtype=bool)
    row = np.arange(cells.number)[:, None]
    near[row, source, target] = near[row, target, source] = True
    return source, target, np.concatenate(kinds, axis=1), near.sum(axis=2)


class Gin:
    """One member of the ensemble, from the state dictionary that the official code saves.

    Args:
        path: of `surrogate_model.model`, read with weights only.
        config: the model_config.json beside it.

    Raises:
        ValueError: the file or the configuration is of another network.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]):
        self.pooling, self.both_ways = config.get("graph_pooling"), config.get("graph_preprocessing:undirected_graph")
        layers, width = config.get("num_gnn_layers"), config.get("gnn_hidden_dimensions")
        for name, value in (("num_gnn_layers", layers), ("gnn_hidden_dimensions", width)):
            if type(value) is not int or not 1 <= value <= 4096:
                raise ValueError(f"{path}: its model_config.json has {name} {value!r:.40}, expected 1 to 4096")
        required = {"virtual_node": True, "graph_preprocessing:add_node_degree_one_hot": True}
        # What self loops do differs between versions of the official code.
        required["graph_preprocessing:self_loops"] = False
        for name, value in required.items():
            if bool(config.get(name)) is not value:
                raise ValueError(f"{path}: its model_config.json has {name} {config.get(name)!r:.40}, expected {value}")
        if self.pooling not in _POOLING:
            raise ValueError(f"{path}: graph_pooling {self.pooling!r:.40} is not one of {', '.join(_POOLING)}")
        self.layers = layers
        self.weights = _read_weights(path, _shapes(layers, width))

    def predict(self, cells: Cells) -> np.ndarray:
        """(N,) float64 validation accuracy in percent."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, cells.number, _BATCH):
                arrays = graphs(cells.take(slice(start, start + _BATCH)))
                parts.append(self._forward(*map(torch.from_numpy, arrays)).double().numpy())
        return np.concatenate([np.empty(0), *parts]) * 100

    def _forward(
        self, source: "torch.Tensor", target: "torch.Tensor", kinds: "torch.Tensor", neighbours: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch

        w = self.weights
        if self.both_ways:
            source, target = torch.cat([source, target], dim=1), torch.cat([target, source], dim=1)
            kinds = torch.cat([kinds, kinds], dim=1)
        node_kinds = torch.from_numpy(_NODE_KINDS)
        h = w["node_encoder.type_encoder.weight"][node_kinds] + w["node_encoder.attribute_encoder.weight"][neighbours]
        virtual = w["gnn_node.virtualnode_embedding.weight"].expand(len(h), -1)  # (N, D)
        for layer in range(self.layers):
            h = h + virtual[:, None]  # (N, 14, D)
            conv = f"gnn_node.convs.{layer}"
            at = [ends[..., None].expand(-1, -1, h.shape[2]) for ends in (source, target)]
            message = torch.relu(h.gather(1, at[0]) + w[f"{conv}.edge_encoder.weight"][kinds])  # (N, E, D)
            received = torch.zeros_like(h).scatter_add_(1, at[1], message)
            new = self._mlp((1 + w[f"{conv}.eps"]) * h + received, f"{conv}.mlp", final_norm=False)
            new = self._norm(new, f"gnn_node.batch_norms.{layer}")
            if layer < self.layers - 1:
                new = torch.relu(new)
                name = f"gnn_node.mlp_virtualnode_list.{layer}"
                virtual = self._mlp(h.sum(dim=1) + virtual, name, final_norm=True)
            h = new
        pooled = {"mean": h.mean(dim=1), "sum": h.sum(dim=1), "max": h.amax(dim=1)}[self.pooling]
        return torch.sigmoid(self._linear(pooled, "graph_pred_linear"))[:, 0]

    def _linear(self, x: "torch.Tensor", name: str) -> "torch.Tensor":
        from torch.nn.functional import linear

        return linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: "torch.Tensor", name: str) -> "torch.Tensor":
        from torch.nn.functional import batch_norm

        values = (self.weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return batch_norm(x.flatten(0, -2), *values).view(x.shape)

    def _mlp(self, x: "torch.Tensor", name: str, final_norm: bool) -> "torch.Tensor":
        import torch

        x = self._linear(torch.relu(self._norm(self._linear(x, f"{name}.0"), f"{name}.1")), f"{name}.3")
        return torch.relu(self._norm(x, f"{name}.4")) if final_norm else x


def _shapes(layers: int, width: int) -> dict[str, tuple[int, ...]]:
    """Of every tensor that the network needs, by its name in the state dictionary."""
    shapes: dict[str, tuple[int, ...]] = {
        "node_encoder.type_encoder.weight": (4, width),
        "node_encoder.attribute_encoder.weight": (_MOST_NEIGHBOURS, width),
        "gnn_node.virtualnode_embedding.weight": (1, width),
        "graph_pred_linear.weight": (1, width),
        "graph_pred_linear.bias": (1,),
    }

    def linear(name: str, source: int, target: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (target, source), (target,)

    def norm(name: str, size: int) -> None:
        shapes.update({f"{name}.{part}": (size,) for part in ("weight", "bias", "running_mean", "running_var")})

    for layer in range(layers):
        conv, virtual = f"gnn_node.convs.{layer}", f"gnn_node.mlp_virtualnode_list.{layer}"
        shapes[f"{conv}.eps"], shapes[f"{conv}.edge_encoder.weight"] = (1,), (EDGE_KINDS, width)
        norm(f"gnn_node.batch_norms.{layer}", width)
        for name in (f"{conv}.mlp", virtual) if layer < layers - 1 else (f"{conv}.mlp",):
            linear(f"{name}.0", width, 2 * width)
            norm(f"{name}.1", 2 * width)
            linear(f"{name}.3", 2 * width, width)
        if layer < layers - 1:
            norm(f"{virtual}.4", width)
    return shapes


def _read_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> "dict[str, torch.Tensor]":
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd files, which the checks below refuse
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises anything on damaged input
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise ValueError(f"{path}: cannot be read as weights of a network ({reason})") from None
    if not isinstance(state, Mapping):
        raise ValueError(f"{path}: holds a {type(state).__name__}, expected the weights of a network by name")
    ignored = (".num_batches_tracked",)
    for name, shape in shapes.items():
        tensor = state.get(name)
        found = tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else None
        if found != shape:
            raise ValueError(f"{path}: {name} must be of shape {shape}, not {found}; not the network of its config")
        if not tensor.dtype.is_floating_point or not tensor.isfinite().all():
            raise ValueError(f"{path}: {name} has numbers that are not finite")
    # The node encoder is in it twice.
    spare = [n for n in state if n not in shapes and not str(n).startswith("gnn_node.node_encoder.")]
    spare = [n for n in spare if not str(n).endswith(ignored)]
    if spare:
        raise ValueError(f"{path}: has {str(spare[0])[:60]}, which the network of its config has not")
    return {name: state[name].float() for name in shapes}
