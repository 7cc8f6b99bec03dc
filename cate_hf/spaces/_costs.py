"""What the analytic costs of all spaces share: checks of a network's sizes, and the cost of one layer.

A cost is an array (2,) int64: trainable parameters, and multiply-adds (×1) of convolutions and linear layers for one
image. Batch norm, pooling, activations and additions have no multiply-adds in it. Costs add up over layers.
"""

import numpy as np


def check_sizes(**sizes: int) -> None:
    """Raises ValueError unless each is an integer of at least 1, naming the first that is not."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")


def halved(size: int) -> int:
    """Height or width after a layer of stride 2 that pads: an odd size is rounded up."""
    return (size + 1) // 2


def convolution(source: int, target: int, kernel: int, size: int, groups: int = 1, norm: bool = True) -> np.ndarray:
    """Cost of a convolution without bias whose output is size × size, and of its batch norm's scale and shift."""
    weights = kernel * kernel * (source // groups) * target
    return np.array([weights + 2 * target * norm, weights * size * size], dtype=np.int64)


def linear(source: int, target: int) -> np.ndarray:
    """Cost of a linear layer with bias; the bias is no multiply-add."""
    return np.array([source * target + target, source * target], dtype=np.int64)


def check_codes(name: str, codes: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Integer codes (N, len(limits)) with 0 <= codes[:, i] < limits[i].

    Raises:
        ValueError: another shape or type, or a code out of range; the message names the row and the entry.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != len(limits) or codes.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integers (N, {len(limits)}), got {codes.dtype} {codes.shape}")
    # Unsigned, a negative code is a large one.
    wrong = codes.view(f"u{codes.dtype.itemsize}") >= limits
    if wrong.any():
        row, entry = (int(i[0]) for i in np.nonzero(wrong))
        raise ValueError(
            f"{name}, row {row}, entry {entry}: expected 0 to {limits[entry] - 1}, got {codes[row, entry]}"
        )
    return codes
