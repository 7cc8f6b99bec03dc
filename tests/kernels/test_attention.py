"""The compiled attention of short rows beside the model's eager one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cate_hf.kernels import _dispatch as dispatch
from cate_hf.kernels._attention import ShortAttention, draw_seed, short_attention_forward
from cate_hf.modeling.layers_cate import HIDDEN_DEFAULT, eager_attention_forward

SIZE = 8  # of a head
SCALING = SIZE**-0.5


def module(training: bool = False) -> nn.Module:
    return nn.Identity().train(training)


def inputs(batch: int, length: int, heads: int, seed: int = 0, size: int = SIZE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, 3, heads, size, generator=generator).requires_grad_()


def mask_of(kind: str, batch: int, length: int, heads: int, seed: int) -> torch.Tensor | None:
    """Masks as they occur: of keys alone, of a graph, one row all hidden, a learned bias a head."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "none":
        return None
    if kind == "heads":
        return torch.randn(batch, heads, length, length, generator=generator).requires_grad_()
    rows = 1 if kind == "keys" else length
    hidden = torch.rand(batch, 1, rows, length, generator=generator) < 0.5
    hidden[0] = True
    mask = torch.zeros(hidden.shape).masked_fill(hidden, HIDDEN_DEFAULT)
    return mask.expand(-1, -1, length, -1)


def both(qkv, mask, precise=True, scaling=SCALING):
    """Output and gradients, compiled and eager: two lists."""
    results = []
    for function in (short_attention_forward, eager_attention_forward):
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        output, _ = function(module(), query, key, value, mask, scaling)
        wanted = [tensor for tensor in (qkv, mask) if tensor is not None and tensor.requires_grad]
        slope = torch.linspace(-1, 1, output.numel()).view(output.shape).to(output.dtype)
        results.append([output, *torch.autograd.grad(output, wanted, slope)])
    return results


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 20),
    st.integers(1, 64),
    st.integers(1, 4),
    st.sampled_from(["none", "keys", "graph", "heads"]),
    st.integers(0, 1000),
)
def test_output_and_gradients_are_those_of_eager_attention(batch, length, heads, kind, seed):
    mine, theirs = both(inputs(batch, length, heads, seed), mask_of(kind, batch, length, heads, seed))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [7, 14, 30])
def test_bfloat16_is_as_near_to_float32_as_eager_attention(length):
    exact = inputs(16, length, 4)
    mask = mask_of("graph", 16, length, 4, 1)
    _, reference = both(exact, mask)
    reduced = exact.detach().bfloat16().requires_grad_()
    mine, theirs = both(reduced, mask.bfloat16())
    for a, b, c in zip(mine, theirs, reference, strict=True):
        error, of_eager = (a.float() - c).norm() / c.norm(), (b.float() - c).norm() / c.norm()
        assert a.dtype == torch.bfloat16
        assert error < 0.01
        assert error < 1.1 * of_eager


def test_sixteen_numbers_a_head_and_extreme_scores():
    qkv = inputs(5, 9, 2, size=16)
    with torch.no_grad():
        qkv[0] *= 40  # scores of thousands
    mine, theirs = both(qkv, mask_of("graph", 5, 9, 2, 3), scaling=0.25)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_tensors_of_their_own_and_of_other_layouts():
    qkv = inputs(6, 7, 2)
    together, _ = both(qkv, None)
    apart = [part.detach().clone().requires_grad_() for part in qkv.permute(2, 0, 3, 1, 4)]
    transposed = [part.detach().transpose(2, 3).contiguous().transpose(2, 3) for part in apart]  # last axis not whole
    for parts in (apart, [part.requires_grad_() for part in transposed]):
        output, _ = short_attention_forward(module(), *parts, None, SCALING)
        slope = torch.linspace(-1, 1, output.numel()).view(output.shape)
        gradients = torch.stack(torch.autograd.grad(output, parts, slope))
        torch.testing.assert_close(output, together[0])
        torch.testing.assert_close(gradients.permute(1, 3, 0, 2, 4), together[1])


@pytest.mark.parametrize(("length", "size"), [(65, 8), (7, 4), (7, 72)])
def test_what_the_kernels_are_not_for_goes_to_eager_attention(length, size):
    qkv = inputs(2, length, 2, size=size)
    mine, theirs = both(qkv, None)
    assert torch.equal(mine[0], theirs[0])


def test_a_mask_that_heads_share_has_a_gradient():
    mask = torch.randn(3, 1, 7, 7, requires_grad=True)
    mine, theirs = both(inputs(3, 7, 2), mask)
    torch.testing.assert_close(mine[2], theirs[2])


def test_not_a_number_stays():
    qkv = inputs(2, 7, 2).detach()
    qkv[1, 3, 0] = torch.nan  # a query
    output, _ = short_attention_forward(module(), *qkv.permute(2, 0, 3, 1, 4), None, SCALING)
    assert output[1, 3].isnan().all()
    assert output[0].isfinite().all()
    assert output[1, 2].isfinite().all()


def weights(p: float, batch: int = 64, length: int = 14, heads: int = 8, seed: int = 0) -> torch.Tensor:
    """(B, H, L, L) weights with dropout, of equal scores, read through values that are columns of the identity."""
    query = torch.zeros(batch, heads, length, 16)
    value = torch.eye(length, 16).expand(batch, heads, -1, -1).contiguous()
    torch.manual_seed(seed)
    output, _ = short_attention_forward(module(True), query, query, value, None, 1.0, dropout=p)
    return output.permute(0, 2, 1, 3)[..., :length] * length


def test_dropout_keeps_its_share_and_its_mean():
    kept = weights(0.1)
    kept = kept.round(decimals=5)
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.9], abs=1e-5)
    share = (kept == 0).float()
    count = share.numel()
    assert abs(share.mean() - 0.1) < 4 * (0.09 / count) ** 0.5
    for axis in range(4):  # each place by itself
        of_place = share.transpose(0, axis).flatten(1)
        assert (of_place.mean(1) - 0.1).abs().max() < 5 * (0.09 / of_place.shape[1]) ** 0.5


def test_dropout_of_one_place_says_nothing_of_another():
    share = (weights(0.3, batch=256) == 0).float() - 0.3
    count = share.numel()
    for axis in range(4):
        both_of = (share.narrow(axis, 0, share.shape[axis] - 1) * share.narrow(axis, 1, share.shape[axis] - 1)).mean()
        assert abs(both_of / 0.21) < 5 / count**0.5
    others = (weights(0.3, batch=256, seed=1) == 0).float() - 0.3
    assert abs((share * others).mean() / 0.21) < 5 / count**0.5


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first = weights(0.1, seed=3)
    assert torch.equal(first, weights(0.1, seed=3))
    assert not torch.equal(first, weights(0.1, seed=4))
    torch.manual_seed(5)
    a, b = draw_seed(), draw_seed()
    torch.manual_seed(5)
    assert (a, b) == (draw_seed(), draw_seed())


def test_no_dropout_in_evaluation():
    query, key, value = inputs(4, 7, 2).permute(2, 0, 3, 1, 4)
    plain, _ = short_attention_forward(module(False), query, key, value, None, SCALING, dropout=0.5)
    torch.testing.assert_close(plain, short_attention_forward(module(True), query, key, value, None, SCALING)[0])


@pytest.mark.parametrize("kind", ["graph", "heads"])
def test_gradients_with_dropout_are_those_of_the_same_draw(kind):
    """The output is linear in the values, with fixed draws: its slope along a direction is a difference of two."""
    qkv = inputs(3, 6, 2).detach()
    mask = mask_of(kind, 3, 6, 2, 2).detach()
    mask = mask.masked_fill((mask < -1e3).all(-1, keepdim=True), 0.0)  # where all is hidden, scores are rounded off
    direction = torch.randn(qkv.shape, generator=torch.Generator().manual_seed(9))
    slope = torch.randn(3, 6, 2, SIZE, generator=torch.Generator().manual_seed(8))

    def loss(shift: float, tensor: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(11)
        query, key, value = (tensor + shift * direction).permute(2, 0, 3, 1, 4)
        return (ShortAttention.apply(query, key, value, mask, SCALING, 0.3).double() * slope).sum()

    leaf = qkv.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(0.0, leaf), leaf)
    numeric = (loss(1e-2, qkv) - loss(-1e-2, qkv)) / 2e-2
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=2e-2)


@pytest.mark.parametrize("openmp", [True, False])
def test_threads_change_no_bit(monkeypatch, openmp):
    if not openmp:
        monkeypatch.setattr(dispatch, "_openmp", lambda: None)
    qkv, mask = inputs(100, 14, 8), mask_of("graph", 100, 14, 8, 4)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            query, key, value = qkv.permute(2, 0, 3, 1, 4)
            output = ShortAttention.apply(query, key, value, mask, SCALING, 0.1)
            results.append((output, *torch.autograd.grad(output.square().sum(), qkv)))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)
