"""What an operation is, by its name: a small grammar, so that operations of any space are numbers that can be compared.

A name is read in lower case. Its kind is the first of `KINDS` one of whose words is in it; `3x3` or `_3` at its end is
the kernel; `dil` marks a dilated one, `sep`, `dw` or `depthwise` a separable one. Whatever is not read so still has an
identity: a random vector that its characters decide, the same everywhere and each time.
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
HASHED = 48  # numbers of a name's random vector
NUM_NUMBERS = HASHED + len(KINDS) + 1 + 3
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


@cache
def describe(name: str) -> tuple[float, ...]:
    """(NUM_NUMBERS,) of an operation: its name's random vector of length 1; its kind; kernel, dilated, separable."""
    digest = hashlib.sha256(name.encode()).digest()
    vector = np.random.default_rng(np.frombuffer(digest, np.uint32)).standard_normal(HASHED)
    kind = np.zeros(len(KINDS) + 1)
    kind[kind_of(name)] = _KIND
    text = name.lower()
    size = re.search(r"(\d+)x\d+", text) or re.search(r"(\d+)$", text)
    kernel = min(int(size[1]) if size else 0, 9) / 9
    traits = (kernel, "dil" in text, any(word in text for word in ("sep", "dw", "depthwise")))
    return (*(_NAME * vector / np.linalg.norm(vector)), *kind, *(_TRAIT * float(trait) for trait in traits))


def describe_all(names: Sequence[str]) -> np.ndarray:
    """(V, NUM_NUMBERS) float32."""
    return np.array([describe(name) for name in names], np.float32).reshape(len(names), NUM_NUMBERS)
