"""A compiled layer beside the same layer by torch, alone and within the models."""

import copy

import numpy as np
import pytest
import torch

from cate_hf import ArchitectureTable, get_space, load_encoder
from cate_hf.encodings import cate
from cate_hf.kernels import use_kernels
from cate_hf.kernels.layer import compile_layers, compiled_layer, compiled_layers, product
from cate_hf.modeling import CateConfig, CateForPreTraining, CateModel
from cate_hf.modeling.layers_cate import HIDDEN_DEFAULT, CateLayer
from tests.tiny import CELLS, save_tiny

SIZES = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "num_cross_layers": 2}
SIZES |= {"intermediate_size": 48, "cross_intermediate_size": 64}


def config(**changes) -> CateConfig:
    made = CateConfig.for_space("nasbench101", **(SIZES | changes))
    made._attn_implementation = "eager"
    return made


def layer(edge_bias: bool = False, p: float = 0.0) -> CateLayer:
    torch.manual_seed(0)
    made = CateLayer(config(hidden_dropout_prob=p, attention_probs_dropout_prob=p), 48, edge_bias).train()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def arguments(batch: int = 21, length: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(batch, length, 32, generator=generator).requires_grad_()
    hidden = torch.rand(batch, 1, length, length, generator=generator) < 0.4
    mask = torch.zeros(hidden.shape).masked_fill(hidden, HIDDEN_DEFAULT)
    return states, mask, (torch.rand(batch, 1, length, length, generator=generator) < 0.3).float()


def output_and_gradients(module: CateLayer, states, mask, edges, reduced: bool = False) -> list[torch.Tensor]:
    with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        output = module(states, mask, edges)
    slope = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return [output, *torch.autograd.grad(output, [states, *module.parameters()], slope)]


@pytest.mark.parametrize("edge_bias", [False, True])
def test_output_and_gradients_are_those_of_torch(edge_bias):
    module, (states, mask, edges) = layer(edge_bias), arguments()
    edges = edges if edge_bias else None
    theirs = output_and_gradients(module, states, mask, edges)
    module.compiled = compiled_layer
    assert compiled_layer(module, states, mask, edges) is not None
    for a, b in zip(output_and_gradients(module, states, mask, edges), theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5 * b.abs().max().item(), rtol=1e-4)


def test_bfloat16_is_as_near_to_float32_as_torch():
    module, given = layer(True), arguments()
    exact, theirs = output_and_gradients(module, *given), output_and_gradients(module, *given, reduced=True)
    module.compiled = compiled_layer
    mine = output_and_gradients(module, *given, reduced=True)
    for a, b, c in zip(mine, theirs, exact, strict=True):
        error, of_torch = (a - c).norm() / c.norm(), (b - c).norm() / c.norm()
        assert a.dtype == torch.float32
        assert error < 0.1
        assert error < 1.5 * of_torch + 1e-3


def test_gradients_with_dropout_are_those_of_the_same_draw():
    module, (states, mask, _) = layer(p=0.2), arguments(40)
    module.compiled = compiled_layer
    states = states.detach()
    direction = torch.randn(states.shape, generator=torch.Generator().manual_seed(3))

    def loss(shift: float, given: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(4)
        return module(given + shift * direction, mask).double().square().sum()

    leaf = states.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(0.0, leaf), leaf)
    numeric = (loss(1e-3, states) - loss(-1e-3, states)) / 2e-3
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-2)


def test_dropout_has_the_mean_of_none():
    module, (states, mask, _) = layer(p=0.1), arguments(4)
    module.output.weight.data.mul_(0.1)
    module.compiled = compiled_layer
    with torch.no_grad():
        mean = torch.stack([module(states, mask) for _ in range(400)]).mean(0)
        plain = module.eval()(states, mask)
    changed = plain - states
    assert (mean - plain).norm() / changed.norm() < 0.15  # the feed-forward part is not linear


def test_hidden_dropout_keeps_its_share():
    module, (states, mask, _) = layer(p=0.25), arguments(500)
    module.compiled = compiled_layer
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.attention.output.bias.fill_(1.0)  # what attention adds is 1, or by dropout 0 or 4 / 3
        changed = module(torch.zeros_like(states), mask)
    assert changed.unique().tolist() == pytest.approx([0.0, 4 / 3], abs=1e-5)
    dropped = (changed == 0).float()
    assert abs(dropped.mean() - 0.25) < 4 * (0.1875 / dropped.numel()) ** 0.5
    assert (dropped.mean((0, 1)) - 0.25).abs().max() < 5 * (0.1875 / 3500) ** 0.5


def test_threads_change_no_bit():
    module, given = layer(p=0.1), arguments(200)
    module.compiled = compiled_layer
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(6)
            results.append(module(*given[:2]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_what_the_kernels_are_not_for_is_left_to_torch():
    states, mask, _ = arguments()
    assert compiled_layer(layer(), states.double(), mask, None) is None
    assert compiled_layer(layer().bfloat16(), states, mask, None) is None
    odd = layer()
    odd.activation = torch.nn.GELU()
    assert compiled_layer(odd, states, mask, None) is None
    with torch.autocast("cpu", torch.float16):
        assert compiled_layer(layer(), states, mask, None) is None


def pairs(vocabulary: int = 7, batch: int = 24) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    given = {}
    for prefix in ("", "pair_"):
        ids = torch.randint(2, vocabulary, (batch, 7), generator=generator)
        real = (torch.arange(7) < torch.randint(3, 8, (batch, 1), generator=generator)).long()
        edges = (torch.rand(batch, 7, 7, generator=generator) < 0.4).long().triu(1) * real.unsqueeze(1)
        given |= {f"{prefix}input_ids": ids * real, f"{prefix}attention_mask": real, f"{prefix}adjacency": edges}
        given[f"{prefix}labels"] = torch.where(real.bool(), ids, -100)
    return given


@pytest.mark.parametrize("preset", ["paper", "default"])
def test_pretraining_models_have_the_same_loss_and_gradients(preset):
    torch.manual_seed(0)
    made = CateConfig.paper(get_space("nasbench101"), **SIZES) if preset == "paper" else config()
    made.hidden_dropout_prob = made.attention_probs_dropout_prob = 0.0
    given = pairs(made.vocab_size)
    model = CateForPreTraining._from_config(made, attn_implementation="eager").train()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # biases too
    fast = copy.deepcopy(model)
    use_kernels(fast)
    losses = []
    for each in (model, fast):
        loss = each(**given).loss
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for (name, a), b in zip(model.named_parameters(), fast.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        if a.grad is not None:
            torch.testing.assert_close(
                a.grad, b.grad, atol=2e-5 * a.grad.abs().max().item() + 1e-8, rtol=1e-3, msg=name
            )


def test_all_layers_are_compiled_where_they_are_asked_to_be():
    model = CateModel._from_config(config(), attn_implementation="eager").eval()
    seen = []

    def count(*given):
        seen.append(compiled_layer(*given))
        return seen[-1]

    compile_layers(model)
    for module in model.modules():
        if isinstance(module, CateLayer):
            module.compiled = count
    given = {name: values for name, values in pairs().items() if "pair" not in name and name != "labels"}
    with torch.no_grad():
        model(**given)
    assert len(seen) == 2
    assert all(result is not None for result in seen)
    for module in model.layers:
        module.compiled = None
    with compiled_layers(model):
        with compiled_layers(model):
            assert model.layers[0].compiled is compiled_layer
        assert model.layers[0].compiled is compiled_layer
    assert model.layers[0].compiled is None
    with torch.no_grad():
        output = model(**given, output_attentions=True, output_hidden_states=True)
        with compiled_layers(model):
            again = model(**given, output_attentions=True)
    assert len(output.attentions) == 2
    assert output.attentions[0].shape == (24, 4, 7, 7)
    torch.testing.assert_close(again.attentions, output.attentions)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_many_architectures_are_encoded_to_the_same_numbers(tmp_path, monkeypatch, precision, tolerance):
    folder = save_tiny(tmp_path / "model", **SIZES)
    exact = load_encoder(folder).encode(CELLS)
    table = ArchitectureTable.from_architectures(CELLS * 50, get_space("nasbench101").vocabulary)
    monkeypatch.setattr(cate, "_MANY", 100)
    encoder = load_encoder(folder, precision=precision)
    many = encoder.encode(table, batch_size=32)
    assert encoder.model.layers[0].compiled is None  # afterwards
    np.testing.assert_allclose(many, np.tile(exact, (50, 1)), atol=tolerance)
    assert not np.array_equal(many, np.tile(encoder.encode(CELLS), (50, 1)))  # it is another computation


def test_the_product_is_the_linear_layer():
    x, weight, bias = torch.randn(50, 32), torch.randn(48, 32), torch.randn(48)
    for kind, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.1)):
        a, b, c = x.to(kind), weight.to(kind), bias.to(kind)
        expected = torch.nn.functional.linear(a, b, c)
        torch.testing.assert_close(product()(a, b, c), expected, atol=tolerance, rtol=0.01)
        torch.testing.assert_close(product()(a, b, c, rectified=True), expected.relu(), atol=tolerance, rtol=0.01)
