"""Attention of short rows, forward and backward, in numba.

B architectures, L positions, H heads of D numbers. The lanes of a vector are queries, 16 at a time: the softmax over
the keys is then sums and maxima of whole vectors. The weights are computed again in the backward kernel from the same
numbers, the bits of their dropout too, so nothing of size L × L is kept.
"""

import functools

from numba import float32, int64

from cate_hf.kernels._attention_parts import clear, columns, mask_columns, products, rows, softmax, weighted
from cate_hf.kernels._dispatch import CHUNK, CHUNKS, FIRST, VERSION, inlined, kernel
from cate_hf.kernels._random_bits import random_bits
from cate_hf.kernels._simd import (
    argument,
    load,
    load_one,
    next_integer,
    scratch,
    splat,
    store,
    store_one,
    where_not_below,
)

LONGEST, WIDEST = 64, 64
"""Positions, and numbers of a head, that the kernels have room for."""
BLOCK = 8
"""Architectures of a chunk."""
_ROWS, _SCORES = 4 * LONGEST * WIDEST, 4 * LONGEST * LONGEST

# Arguments, at 8 bytes each: addresses of tensors, 0 of one that is not there; strides in bytes; SCALING the bits of a
# float32; SEED and SEED_2 32 bits each; DROPPED the probability of dropout times 2^32.
(
    QUERY,
    KEY,
    VALUE,
    OF_BATCH,
    OF_HEAD,
    OF_POSITION,
    MASK,
    MASK_OF_BATCH,
    MASK_OF_HEAD,
    MASK_OF_QUERY,
    MASK_OF_KEY,
    BATCH,
    LENGTH,
    HEADS,
    SCALING,
    SEED,
    SEED_2,
    DROPPED,
    OUTPUT,
    GRADIENT,
    QUERY_GRADIENT,
    KEY_GRADIENT,
    VALUE_GRADIENT,
    MASK_GRADIENT,
) = range(FIRST, FIRST + 24)


@inlined
def forward_of(arguments, b, size, bfloat16):
    length, heads, scaling = argument(arguments, LENGTH), argument(arguments, HEADS), load_one(arguments + 8 * SCALING)
    width, bytes_of = (length + 15) // 16 * 16, 2 if bfloat16 else 4
    position, start = argument(arguments, OF_POSITION), b * argument(arguments, OF_BATCH)
    mask, of_head = argument(arguments, MASK), argument(arguments, MASK_OF_HEAD)
    of_query, of_key = argument(arguments, MASK_OF_QUERY), argument(arguments, MASK_OF_KEY)
    q, qt, k, v = scratch(_ROWS), scratch(_ROWS), scratch(_ROWS), scratch(_ROWS)
    p, m = scratch(_SCORES), scratch(_SCORES)
    clear(qt, size * width)
    clear(m, length * width)
    masked = 0
    if mask != 0:
        masked, mask = m, mask + b * argument(arguments, MASK_OF_BATCH)
    seed, seed_2, dropped = argument(arguments, SEED), argument(arguments, SEED_2), argument(arguments, DROPPED)
    threshold, kept = splat(16, dropped), splat(16, 1.0 / (1.0 - dropped / 4294967296.0))
    for h in range(heads):
        offset = start + h * argument(arguments, OF_HEAD)
        rows(q, argument(arguments, QUERY) + offset, position, length, size, bfloat16)
        rows(k, argument(arguments, KEY) + offset, position, length, size, bfloat16)
        rows(v, argument(arguments, VALUE) + offset, position, length, size, bfloat16)
        columns(qt, q, length, width, size)
        if mask != 0 and (h == 0 or of_head != 0):
            mask_columns(m, mask + h * of_head, of_query, of_key, length, width)
        for w in range(0, width, 16):
            products(p, qt, k, length, width, w, size)
            inverse = softmax(p, masked, scaling, length, width, w)
            for j in range(length):
                place = p + 4 * (j * width + w)
                weight = load(16, place) * inverse
                if dropped:
                    bits = random_bits(seed, seed_2, ((b * heads + h) * LONGEST + j) * LONGEST + w)
                    weight = where_not_below(bits, threshold, weight * kept)
                store(place, weight)
        step = heads * size * bytes_of
        out = argument(arguments, OUTPUT) + b * length * step + h * size * bytes_of
        weighted(out, step, p, int64(1), width, v, length, float32(1.0), size, bfloat16)


@inlined
def backward_of(arguments, b, size, bfloat16):
    length, heads, scaling = argument(arguments, LENGTH), argument(arguments, HEADS), load_one(arguments + 8 * SCALING)
    width, bytes_of = (length + 15) // 16 * 16, 2 if bfloat16 else 4
    position, start = argument(arguments, OF_POSITION), b * argument(arguments, OF_BATCH)
    mask, of_head = argument(arguments, MASK), argument(arguments, MASK_OF_HEAD)
    of_query, of_key = argument(arguments, MASK_OF_QUERY), argument(arguments, MASK_OF_KEY)
    mask_gradient = argument(arguments, MASK_GRADIENT)
    q, qt, k, v, g, gt = (
        scratch(_ROWS),
        scratch(_ROWS),
        scratch(_ROWS),
        scratch(_ROWS),
        scratch(_ROWS),
        scratch(_ROWS),
    )
    p, m, ds, used = scratch(_SCORES), scratch(_SCORES), scratch(_SCORES), scratch(_SCORES)
    clear(qt, size * width)
    clear(gt, size * width)
    clear(m, length * width)
    masked = 0
    if mask != 0:
        masked, mask = m, mask + b * argument(arguments, MASK_OF_BATCH)
    seed, seed_2, dropped = argument(arguments, SEED), argument(arguments, SEED_2), argument(arguments, DROPPED)
    threshold, kept = splat(16, dropped), splat(16, 1.0 / (1.0 - dropped / 4294967296.0))
    step = heads * size * bytes_of
    for h in range(heads):
        offset = start + h * argument(arguments, OF_HEAD)
        rows(q, argument(arguments, QUERY) + offset, position, length, size, bfloat16)
        rows(k, argument(arguments, KEY) + offset, position, length, size, bfloat16)
        rows(v, argument(arguments, VALUE) + offset, position, length, size, bfloat16)
        rows(g, argument(arguments, GRADIENT) + b * length * step + h * size * bytes_of, step, length, size, bfloat16)
        columns(qt, q, length, width, size)
        columns(gt, g, length, width, size)
        if mask != 0 and (h == 0 or of_head != 0):
            mask_columns(m, mask + h * of_head, of_query, of_key, length, width)
        for w in range(0, width, 16):
            products(p, qt, k, length, width, w, size)
            products(ds, gt, v, length, width, w, size)
            inverse = softmax(p, masked, scaling, length, width, w)
            total = splat(16, 0.0)
            for j in range(length):
                place = 4 * (j * width + w)
                weight, slope = load(16, p + place) * inverse, load(16, ds + place)
                store(p + place, weight)
                if dropped:
                    bits = random_bits(seed, seed_2, ((b * heads + h) * LONGEST + j) * LONGEST + w)
                    slope = where_not_below(bits, threshold, slope * kept)
                    store(ds + place, slope)
                    store(used + place, where_not_below(bits, threshold, weight * kept))
                else:
                    store(used + place, weight)
                total = total + weight * slope
            for j in range(length):
                place = 4 * (j * width + w)
                store(ds + place, load(16, p + place) * (load(16, ds + place) - total))
        to = argument(arguments, QUERY_GRADIENT) + offset
        weighted(to, position, ds, int64(1), width, k, length, scaling, size, bfloat16)
        to = argument(arguments, KEY_GRADIENT) + offset
        weighted(to, position, ds, width, int64(1), q, length, scaling, size, bfloat16)
        to = argument(arguments, VALUE_GRADIENT) + offset
        weighted(to, position, used, width, int64(1), g, length, float32(1.0), size, bfloat16)
        if mask_gradient != 0:
            to = mask_gradient + 4 * (b * heads + h) * length * length
            for j in range(length):
                for i in range(length):
                    store_one(to + 4 * (i * length + j), load_one(ds + 4 * (j * width + i)))


@functools.cache
def attention_forward(size: int, bfloat16: bool):
    """The kernel of attention with heads of `size` numbers (a multiple of 8), in float32 or bfloat16."""
    version = VERSION

    def forward(arguments):
        chunk = next_integer(arguments + 8 * CHUNK)
        while chunk < argument(arguments, CHUNKS) and version >= 0:
            for b in range(chunk * BLOCK, min((chunk + 1) * BLOCK, argument(arguments, BATCH))):
                forward_of(arguments, b, size, bfloat16)
            chunk = next_integer(arguments + 8 * CHUNK)

    return kernel(forward)


@functools.cache
def attention_backward(size: int, bfloat16: bool):
    """The kernel of its gradients."""
    version = VERSION

    def backward(arguments):
        chunk = next_integer(arguments + 8 * CHUNK)
        while chunk < argument(arguments, CHUNKS) and version >= 0:
            for b in range(chunk * BLOCK, min((chunk + 1) * BLOCK, argument(arguments, BATCH))):
                backward_of(arguments, b, size, bfloat16)
            chunk = next_integer(arguments + 8 * CHUNK)

    return kernel(backward)
