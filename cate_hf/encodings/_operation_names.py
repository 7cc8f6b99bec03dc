"""What an operation is, by its name: a small grammar, so that operations of any space are numbers that can be compared.

A name is read in lower case. Its kind is the first of `KINDS` one of whose words is in it; `3x3` or `_3` at its end is
the kernel; `dil` marks a dilated one, `sep`, `dw`, `depthwise` or `mbconv` a separable one. `GROUPS` are kinds, with
convolutions and pooling told apart. Whatever is not read so still has an identity: a random vector that its characters
decide, the same everywhere and each time.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cache

import numpy as np

KINDS = {
    "input": ("input", "c_{k", "x_t", "h_prev"),
    "output": ("output", "h_new"),
    "pooling": ("pool",),
    "identity": ("skip", "identity", "id", "none-op", "residual"),
    "zero": ("zero", "none"),
    "graph convolution": ("gcn", "gat", "sage", "cheb", "arma", "gin", "graph"),
    "convolution": ("conv", "mbconv", "ir3", "ir5", "inverted"),
    "attention": ("attention", "attn", "softmax"),
    "gate": ("sigmoid", "gate", "blend", "highway"),
    "activation": ("relu", "tanh", "gelu", "elu", "swish", "silu"),
    "normalisation": ("norm", "bn", "dropout"),
    "product": ("prod", "mul"),
    "sum": ("sum", "add", "plus"),
    "concatenation": ("concat", "cat", "flatten"),
    "linear": ("linear", "dense", "fc", "gemm", "matmul", "mlp"),
}
GROUPS = (
    "identity",
    "zero",
    "average pooling",
    "pooling",
    "graph convolution",
    "convolution 1x1",
    "convolution 3x3",
    "convolution of 5x5 or more",
    "separable convolution to 3x3",
    "separable convolution of 5x5 or more",
    "dilated convolution to 3x3",
    "dilated convolution of 5x5 or more",
    "attention or gate",
    "activation or normalisation",
    "product",
    "sum or concatenation",
    "linear",
    "other",
)
_GROUP_OF_KIND = {
    "attention": "attention or gate",
    "gate": "attention or gate",
    "activation": "activation or normalisation",
    "normalisation": "activation or normalisation",
    "sum": "sum or concatenation",
    "concatenation": "sum or concatenation",
}
HASHED = 48  # numbers of a name's random vector
NUM_NUMBERS = HASHED + len(KINDS) + 1 + 3
_SEPARABLE = ("sep", "dw", "depthwise", "mbconv")
_SHORT = 3  # letters of a word that has to stand alone
_NAME, _KIND, _TRAIT = 1.0, 0.25, 0.25  # how much a name, its kind and its kernel count


def kind_of(name: str) -> int:
    """The number of a name's kind in `KINDS`; len(KINDS) where no word is in it."""
    text = name.lower()
    alone = set(re.split(r"[^a-z]+", text))
    for number, words in enumerate(KINDS.values()):
        if any(word in alone if len(word) < _SHORT else word in text for word in words):
            return number
    return len(KINDS)


def group_of(name: str) -> int:
    """The number of a name's group in `GROUPS`; -1 of inputs and outputs."""
    text, number = name.lower(), kind_of(name)
    kind = list(KINDS)[number] if number < len(KINDS) else "other"
    if kind in ("input", "output"):
        return -1
    if kind == "pooling" and ("avg" in text or "average" in text):
        kind = "average pooling"
    elif kind == "convolution":
        kernel, dilated, separable = _traits(text)
        small = "to 3x3" if kernel <= 3 else "of 5x5 or more"
        if dilated or separable:
            kind = f"{'dilated' if dilated else 'separable'} convolution {small}"
        else:
            kind = f"convolution {small if kernel > 3 else '1x1' if kernel == 1 else '3x3'}"
    return GROUPS.index(_GROUP_OF_KIND.get(kind, kind))


def _traits(text: str) -> tuple[int, bool, bool]:
    """Kernel (0 where none is told), whether dilated, and whether separable."""
    size = re.search(r"(\d+)x\d+", text) or re.search(r"(\d+)$", text)
    return int(size[1]) if size else 0, "dil" in text, any(word in text for word in _SEPARABLE)


@cache
def describe(name: str) -> tuple[float, ...]:
    """(NUM_NUMBERS,) of an operation: its name's random vector of length 1; its kind; kernel, dilated, separable."""
    digest = hashlib.sha256(name.encode()).digest()
    vector = np.random.default_rng(np.frombuffer(digest, np.uint32)).standard_normal(HASHED)
    kind = np.zeros(len(KINDS) + 1)
    kind[kind_of(name)] = _KIND
    kernel, dilated, separable = _traits(name.lower())
    traits = (min(kernel, 9) / 9, dilated, separable)
    return (*(_NAME * vector / np.linalg.norm(vector)), *kind, *(_TRAIT * float(trait) for trait in traits))


def describe_all(names: Sequence[str]) -> np.ndarray:
    """(V, NUM_NUMBERS) float32."""
    return np.array([describe(name) for name in names], np.float32).reshape(len(names), NUM_NUMBERS)
