"""What is measured of one small network: `cate_hf.statistics.initialisation` says what the numbers are."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cate_hf.statistics._small_network import SmallNetwork, smooth_images

PLACES = ("first", "middle", "last")
NAMES = (
    "relu_log_determinant",
    "relu_log_determinant_normalised",
    "log_relus",
    "relus_active",
    "log_gradient_norm",
    "log_snip",
    "layer_log_gradient_mean",
    "layer_log_gradient_spread",
    "layer_log_gradient_first",
    "jacobian_covariance",
    "jacobian_log_determinant",
    "log_jacobian_norm",
    *(f"{place}:{name}" for place in PLACES for name in ("cosine", "log_std", "entropy", "roughness")),
    "log_synflow",
)
_TINY = 1e-12  # logarithms are of no less
_LEAST_EIGENVALUE = 1e-6  # of a matrix whose diagonal is 1 on average
_COVARIANCE_SHIFT = 1e-5  # of Mellor et al.
_LARGEST = 1e6


def measure(network: SmallNetwork, seed: int, batch: int, size: int) -> np.ndarray:
    """(T,) float64 in the order of NAMES, always finite, of weights, images and labels drawn by a seed."""
    network.draw_weights(seed)
    images, labels = smooth_images(seed, batch, size)
    images = images.detach().clone(memory_format=torch.channels_last).requires_grad_()
    logits, relus, places = network.run(images)
    with torch.no_grad():
        kernel, units, active = _relu_kernel(relus, batch)
        features = [_feature_measures(place) for place in places]
    gradients = _gradients(functional.cross_entropy(logits, labels % logits.shape[1]), network.weights)
    (jacobian,) = _gradients(logits.sum(), [images])
    with torch.no_grad():
        jacobian = _finite(jacobian).flatten(1).double()
        grams = [gram for gram, _ in features]
        matrices = [kernel, _normalised(jacobian @ jacobian.T), _correlation(jacobian), *grams]
        eigenvalues = torch.linalg.eigvalsh(torch.stack([m.double() for m in matrices])).clamp(min=0).numpy()
    kernel_determinant = _log_determinant(eigenvalues[0])
    numbers = [kernel_determinant + batch * math.log(max(units, 1)), kernel_determinant, math.log1p(units), active]
    numbers += _gradient_measures(gradients, network.weights)
    shifted = eigenvalues[2] + _COVARIANCE_SHIFT
    numbers += [-math.log(np.mean(np.log(shifted) + 1 / shifted)), _log_determinant(eigenvalues[1])]
    numbers += [_log(float(jacobian.norm()))]
    for (_, (cosine, log_std, roughness)), spectrum in zip(features, eigenvalues[3:], strict=True):
        numbers += [cosine, log_std, _entropy(spectrum), roughness]
    numbers.append(_log_synflow(network, size))
    return np.clip(np.nan_to_num(np.array(numbers), posinf=_LARGEST, neginf=-_LARGEST), -_LARGEST, _LARGEST)


def _rows(x: Tensor) -> Tensor:
    """(B, ...) -> (B, D), without a copy where the channels come last in memory."""
    return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).flatten(1)


def _finite(x: Tensor) -> Tensor:
    return torch.nan_to_num(x, nan=0.0, posinf=1e15, neginf=-1e15)


def _log(x: float) -> float:
    return math.log(max(x, _TINY))


def _relu_kernel(relus: list[Tensor], batch: int) -> tuple[Tensor, int, float]:
    """(B, B): the share of units that are both active or both inactive; number of units; share that are active."""
    both, active, units = torch.zeros(batch, batch), torch.zeros(batch), 0
    for output in relus:
        pattern = _rows(output).sign()
        both.addmm_(pattern, pattern.T)
        active += pattern.sum(dim=1)
        units += pattern.shape[1]
    if not units:
        return torch.ones(batch, batch), 0, 0.0
    same = units + 2 * both - active[:, None] - active[None, :]
    return _finite(same / units), units, float(active.mean()) / units


def _feature_measures(x: Tensor) -> tuple[Tensor, tuple[float, float, float]]:
    """The normalised Gram matrix (B, B) of images' features; mean cosine, log standard deviation, roughness."""
    x = _finite(x.detach())
    rows = _rows(x)
    gram = rows @ rows.T
    norms = gram.diagonal().clamp(min=0).sqrt()
    zero = norms <= _TINY
    scale = torch.where(zero, 1.0, norms)
    cosines = gram / scale[:, None] / scale[None, :]
    cosines = torch.where(zero[:, None] & zero[None, :], 1.0, cosines)  # nothing tells these images apart
    pairs = max(len(x) * (len(x) - 1), 1)
    cosine = float((cosines.sum() - cosines.diagonal().sum()) / pairs)
    variance = float(rows.var(correction=0))
    rough = 0.0
    if x.dim() == 4 and min(x.shape[2:]) > 1 and variance > _TINY:
        steps = [(x[:, :, 1:] - x[:, :, :-1]).square().mean(), (x[..., 1:] - x[..., :-1]).square().mean()]
        rough = float(sum(steps)) / (4 * variance)
    return _normalised(gram), (cosine, _log(math.sqrt(variance)), rough)


def _normalised(gram: Tensor) -> Tensor:
    """With a mean diagonal of 1; all ones where it is zero: rows that nothing tells apart."""
    scale = gram.diagonal().mean()
    return _finite(gram / scale) if scale > _TINY**2 else torch.ones_like(gram)


def _correlation(rows: Tensor) -> Tensor:
    """(B, D) -> (B, B). Rows that are constant correlate with each other and with no other."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    constant = norms <= _TINY
    centred = torch.where(constant, rows.shape[1] ** -0.5, centred / torch.where(constant, 1.0, norms))
    return centred @ centred.T


def _log_determinant(eigenvalues: np.ndarray) -> float:
    return float(np.log(np.maximum(eigenvalues, _LEAST_EIGENVALUE)).sum())


def _entropy(eigenvalues: np.ndarray) -> float:
    """Of the singular values as a distribution, in [0, 1]: the logarithm of the effective rank, over that of all."""
    values = np.sqrt(eigenvalues)
    if not values.sum() > 0:
        return 0.0
    shares = values / values.sum()
    return float(-(shares * np.log(np.maximum(shares, _TINY))).sum() / math.log(max(len(values), 2)))


def _gradients(loss: Tensor, weights: list[Tensor]) -> list[Tensor]:
    if not weights or not loss.requires_grad:
        return [torch.zeros_like(weight) for weight in weights]
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(weight) if g is None else g for g, weight in zip(found, weights, strict=True)]


def _gradient_measures(gradients: list[Tensor], weights: list[Tensor]) -> list[float]:
    """Log norm of the whole gradient, log SNIP; mean, spread and first of the layers' log norms."""
    if not gradients:
        return [math.log(_TINY)] * 3 + [0.0, math.log(_TINY)]
    with torch.no_grad():
        norms = _finite(torch.stack([g.norm() for g in gradients])).double().numpy()
        snip = float(_finite(torch.stack([(g * w).abs().sum() for g, w in zip(gradients, weights, strict=True)])).sum())
    logs = np.log(np.maximum(norms, _TINY))
    return [_log(float(np.sqrt((norms**2).sum()))), _log(snip), float(logs.mean()), float(logs.std()), float(logs[0])]


def _log_synflow(network: SmallNetwork, size: int) -> float:
    with network.linear() as linear:
        gradients = _gradients(linear(torch.ones(1, 3, size, size, dtype=torch.float64)).sum(), network.weights)
        flow = sum(float((g * weight.detach()).sum()) for g, weight in zip(gradients, network.weights, strict=True))
    return _log(min(flow, 1e300))
