"""Exports with any number of architectures and of nodes, and the meta device, which stands for accelerators: there a
tensor made on the CPU, or a value that is read back, is an error."""

import warnings

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cate_hf.modeling import CateForPreTraining, CateForSequenceClassification, CateModel
from tests.modeling.test_modeling import build, config_of, graphs, inputs_for

SHAPES = [((7, 5, 2, 6), 7), ((3, 2, 3), 3), ((5,), 5), ((7, 3), 9)]
ATTENTION = pytest.mark.parametrize("attention", ["eager", "sdpa"])
PRESETS = pytest.mark.parametrize("preset", ["for_space", "paper"])


class Encoding(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, input_ids, attention_mask, adjacency):
        return self.model(input_ids, attention_mask, adjacency).pooler_output


def dynamic_shapes():
    rows, nodes = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("nodes", min=2, max=64)
    of_nodes = {0: rows, 1: nodes}
    return {"input_ids": of_nodes, "attention_mask": of_nodes, "adjacency": of_nodes | {2: nodes}}


def model_of(preset, attention):
    fields = {"num_hidden_layers": 2, "attention_direction": "split", "edge_bias": True} if preset != "paper" else {}
    config = config_of(preset, **fields)
    return build(CateModel, config, attn_implementation=attention), config


@PRESETS
@ATTENTION
def test_torch_export_with_any_number_of_architectures_and_nodes(preset, attention):
    model, config = model_of(preset, attention)
    exported = torch.export.export(model, (), graphs(config), dynamic_shapes=dynamic_shapes()).module()
    for sizes, length in SHAPES:
        batch = graphs(config, sizes=sizes, length=length)
        with torch.no_grad():
            found, expected = exported(**batch)["pooler_output"], model(**batch).pooler_output
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.long
@PRESETS
@ATTENTION
@pytest.mark.parametrize("dynamo", [True, False])
def test_onnx_with_any_number_of_architectures_and_nodes(preset, attention, dynamo, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if dynamo:
        pytest.importorskip("onnxscript")
    model, config = model_of(preset, attention)
    batch, path = graphs(config), str(tmp_path / "model.onnx")
    shapes = dynamic_shapes()
    if dynamo:
        options = {"dynamo": True, "dynamic_shapes": tuple(shapes.values()), "verbose": False}
    else:
        axes = {name: {axis: dim.__name__ for axis, dim in shape.items()} for name, shape in shapes.items()}
        options = {"dynamo": False, "dynamic_axes": axes | {"encoding": {0: "rows"}}}
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            Encoding(model), tuple(batch.values()), path, input_names=[*batch], output_names=["encoding"], **options
        )
    model.eval()  # the exporters may leave it in another mode
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for sizes, length in SHAPES:
        other = graphs(config, sizes=sizes, length=length)
        (found,) = session.run(None, {given.name: other[given.name].numpy() for given in session.get_inputs()})
        with torch.no_grad():
            np.testing.assert_allclose(found, model(**other).pooler_output, atol=1e-5, rtol=0)


class OnMeta(TorchDispatchMode):
    """All tensors that are made lie on the meta device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                assert tensor.device.type == "meta", f"{function} gives a tensor on {tensor.device}"
        return made


@PRESETS
@ATTENTION
@pytest.mark.parametrize("model_class", [CateModel, CateForPreTraining, CateForSequenceClassification])
def test_a_training_step_on_the_meta_device(model_class, preset, attention):
    fields = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    if model_class is CateForSequenceClassification:
        fields |= {"ranking_loss_weight": 1.0, "num_members": 2, "label_transforms": ["log-error"]}
    config = config_of(preset, **fields)
    batch = {name: value.to("meta") for name, value in inputs_for(model_class, config).items()}
    with torch.device("meta"):
        model = model_class._from_config(config, attn_implementation=attention).train()
    with OnMeta():
        output = model(**batch)
        loss = output.pooler_output.sum() if model_class is CateModel else output.loss
        loss.backward()
    assert loss.shape == ()
    if model_class is CateForPreTraining:
        assert output.logits.shape == (4, 7, config.vocab_size)
    moved = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert moved == {name.split(".")[0] for name, _ in model.named_parameters()}


def test_the_meta_device_would_tell():
    with OnMeta(), pytest.raises(AssertionError, match="gives a tensor on cpu"):
        torch.zeros(3)
