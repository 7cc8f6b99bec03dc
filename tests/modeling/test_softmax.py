"""The softmax of short rows in bfloat16 on CPU."""

import pytest
import torch

from cate_hf.modeling.layers_cate import HIDDEN_DEFAULT, short_softmax


@pytest.mark.parametrize("length", [2, 7, 14, 32, 40])
def test_it_is_the_softmax(length):
    generator = torch.Generator().manual_seed(length)
    scores = torch.randn(50, 4, length, length, generator=generator) * 3
    hidden = torch.rand(50, 1, length, length, generator=generator) < 0.4
    hidden[..., 0] = False  # everybody sees somebody
    scores = scores.masked_fill(hidden, HIDDEN_DEFAULT).bfloat16().requires_grad_()
    expected = scores.detach().float().requires_grad_()
    gradient = torch.randn(scores.shape, generator=generator)
    weights, exact = short_softmax(scores), torch.softmax(expected, -1)
    assert weights.dtype == torch.bfloat16
    assert (weights.float() - exact).abs().max() < 0.008  # a bfloat16 has 8 bits
    assert weights.float()[hidden.expand_as(weights)].abs().max() < 1e-12
    (mine,) = torch.autograd.grad(weights, scores, gradient.bfloat16())
    (theirs,) = torch.autograd.grad(exact, expected, gradient)
    assert (mine.float() - theirs).abs().max() < 0.05


def test_extremes_give_numbers():
    scores = torch.tensor([[HIDDEN_DEFAULT] * 3, [500.0, 400.0, HIDDEN_DEFAULT], [-70.0, HIDDEN_DEFAULT, -70.0]])
    weights = short_softmax(scores.bfloat16()).float()
    assert torch.allclose(weights[0], torch.full((3,), 1 / 3), atol=0.01)  # all hidden: uniform
    assert torch.isfinite(weights).all()
    assert weights[1, 2] == 0 or weights[1, 2] < 1e-12
