"""What lies between the products of a layer, in numba: residual sums with dropout, LayerNorm, ReLU with dropout.

N rows of D numbers. States and their sums are float32, what goes into products and comes out of them is `bfloat16` or
float32. Random bits are those of an element's number, so the backward kernels draw them again.
"""

import functools

from cate_hf.kernels._dispatch import CHUNK, CHUNKS, FIRST, VERSION, inlined, kernel
from cate_hf.kernels._random_bits import random_bits
from cate_hf.kernels._simd import (
    argument,
    load,
    load_bfloat16,
    load_one,
    next_integer,
    reverse_square_root,
    splat,
    store,
    store_bfloat16,
    store_one,
    total,
    where_not_below,
    where_positive,
)

ROWS_OF_CHUNK, NUMBERS_OF_CHUNK = 128, 1 << 14

# Arguments of the first two kernels: addresses, 0 of what is not there, then numbers as in attention_kernels.
(
    STATES,  # (N, D) float32
    CHANGE,  # (N, D): what is added to the states, or the gradient of that
    NORMED,  # (N, D): the norm's output, or its gradient
    RESULT,  # (N, D) float32: the sum, or the gradient of the states
    MOMENTS,  # (N, 2) float32: mean and inverse deviation
    WEIGHT,  # (D,) float32, of the norm
    BIAS,  # (D,)
    GRADIENT,  # (N, D) float32: of the sum
    PARTIAL,  # (chunks, 3, D) float32, by chunk: gradients of weight and bias, sums of the gradient of the change
    COUNT,
    EPSILON,
    SEED,
    SEED_2,
    DROPPED,
) = range(FIRST, FIRST + 14)

# Arguments of the others.
HIDDEN, HIDDEN_GRADIENT, NUMBERS, HIDDEN_SEED, HIDDEN_SEED_2, HIDDEN_DROPPED, WIDTH, SUMS = range(FIRST, FIRST + 8)


@inlined
def read(address, index, bfloat16):
    return load_bfloat16(16, address + 2 * index) if bfloat16 else load(16, address + 4 * index)


@inlined
def write(address, index, vector, bfloat16):
    if bfloat16:
        store_bfloat16(address + 2 * index, vector)
    else:
        store(address + 4 * index, vector)


@inlined
def dropped_out(vector, index, seed, seed_2, dropped, kept):
    if dropped:
        return where_not_below(random_bits(seed, seed_2, index), splat(16, dropped), vector * kept)
    return vector


@inlined
def add_and_normalise(arguments, row, size, bfloat16):
    """The sum of states and change, where there is a change, and its norm, where one is asked for."""
    change, normed, result = argument(arguments, CHANGE), argument(arguments, NORMED), argument(arguments, RESULT)
    seed, seed_2, dropped = argument(arguments, SEED), argument(arguments, SEED_2), argument(arguments, DROPPED)
    kept = splat(16, 1.0 / (1.0 - dropped / 4294967296.0))
    states = argument(arguments, STATES) + 4 * row * size
    of_row = splat(16, 0.0)
    for c in range(0, size, 16):
        x = load(16, states + 4 * c)
        if change != 0:
            index = row * size + c
            x = x + dropped_out(read(change, index, bfloat16), index, seed, seed_2, dropped, kept)
            store(result + 4 * index, x)
        of_row = of_row + x
    if normed != 0:
        if change != 0:
            states = result + 4 * row * size
        mean = total(of_row) / size
        squares = splat(16, 0.0)
        for c in range(0, size, 16):
            centred = load(16, states + 4 * c) - splat(16, mean)
            squares = squares + centred * centred
        inverse = reverse_square_root(total(squares) / size + load_one(arguments + 8 * EPSILON))
        moments = argument(arguments, MOMENTS) + 8 * row
        store_one(moments, mean)
        store_one(moments + 4, inverse)
        weight, bias = argument(arguments, WEIGHT), argument(arguments, BIAS)
        for c in range(0, size, 16):
            centred = load(16, states + 4 * c) - splat(16, mean)
            y = centred * splat(16, inverse) * load(16, weight + 4 * c) + load(16, bias + 4 * c)
            write(normed, row * size + c, y, bfloat16)


@inlined
def add_and_normalise_backward(arguments, row, partial, size, bfloat16):
    """The gradient of the states, that of the sum included, and the gradient of the change."""
    normed, change = argument(arguments, NORMED), argument(arguments, CHANGE)
    seed, seed_2, dropped = argument(arguments, SEED), argument(arguments, SEED_2), argument(arguments, DROPPED)
    kept = splat(16, 1.0 / (1.0 - dropped / 4294967296.0))
    gradient = argument(arguments, GRADIENT) + 4 * row * size
    states, moments = argument(arguments, STATES) + 4 * row * size, argument(arguments, MOMENTS) + 8 * row
    weight, result = argument(arguments, WEIGHT), argument(arguments, RESULT)
    mean_slope, slope_along, inverse, mean = splat(16, 0.0), splat(16, 0.0), splat(16, 0.0), splat(16, 0.0)
    if normed != 0:
        mean, inverse = splat(16, load_one(moments)), splat(16, load_one(moments + 4))
        first, second = splat(16, 0.0), splat(16, 0.0)
        for c in range(0, size, 16):
            standard = (load(16, states + 4 * c) - mean) * inverse
            slope = read(normed, row * size + c, bfloat16)
            place = partial + 4 * c
            store(place, load(16, place) + slope * standard)
            store(place + 4 * size, load(16, place + 4 * size) + slope)
            slope = slope * load(16, weight + 4 * c)
            first = first + slope
            second = second + slope * standard
        mean_slope, slope_along = splat(16, total(first) / size), splat(16, total(second) / size)
    for c in range(0, size, 16):
        index = row * size + c
        x = load(16, gradient + 4 * c)
        if normed != 0:
            standard = (load(16, states + 4 * c) - mean) * inverse
            slope = read(normed, index, bfloat16) * load(16, weight + 4 * c)
            x = x + inverse * (slope - mean_slope - standard * slope_along)
            store(result + 4 * index, x)
        if change != 0:
            x = dropped_out(x, index, seed, seed_2, dropped, kept)
            write(change, index, x, bfloat16)
            place = partial + 4 * (2 * size + c)
            store(place, load(16, place) + x)


@functools.cache
def rows_forward(size: int, bfloat16: bool):
    """The kernel of sum and norm, for rows of `size` numbers, a multiple of 16."""
    version = VERSION

    def forward(arguments):
        chunk = next_integer(arguments + 8 * CHUNK)
        while chunk < argument(arguments, CHUNKS) and version >= 0:
            for row in range(chunk * ROWS_OF_CHUNK, min((chunk + 1) * ROWS_OF_CHUNK, argument(arguments, COUNT))):
                add_and_normalise(arguments, row, size, bfloat16)
            chunk = next_integer(arguments + 8 * CHUNK)

    return kernel(forward)


@functools.cache
def rows_backward(size: int, bfloat16: bool):
    """The kernel of their gradients."""
    version = VERSION

    def backward(arguments):
        chunk = next_integer(arguments + 8 * CHUNK)
        while chunk < argument(arguments, CHUNKS) and version >= 0:
            partial = argument(arguments, PARTIAL) + 12 * chunk * size
            for c in range(0, 3 * size, 16):
                store(partial + 4 * c, splat(16, 0.0))
            for row in range(chunk * ROWS_OF_CHUNK, min((chunk + 1) * ROWS_OF_CHUNK, argument(arguments, COUNT))):
                add_and_normalise_backward(arguments, row, partial, size, bfloat16)
            chunk = next_integer(arguments + 8 * CHUNK)

    return kernel(backward)


@functools.cache
def relu_forward(bfloat16: bool):
    """The kernel of ReLU and dropout of a multiple of 16 numbers, in place."""
    version = VERSION

    def forward(arguments):
        hidden, numbers = argument(arguments, HIDDEN), argument(arguments, NUMBERS)
        dropped = argument(arguments, HIDDEN_DROPPED)
        seed, seed_2 = argument(arguments, HIDDEN_SEED), argument(arguments, HIDDEN_SEED_2)
        kept = splat(16, 1.0 / (1.0 - dropped / 4294967296.0))
        chunk = next_integer(arguments + 8 * CHUNK)
        while chunk < argument(arguments, CHUNKS) and version >= 0:
            for i in range(chunk * NUMBERS_OF_CHUNK, min((chunk + 1) * NUMBERS_OF_CHUNK, numbers), 16):
                x = read(hidden, i, bfloat16)
                write(hidden, i, dropped_out(where_positive(x, x), i, seed, seed_2, dropped, kept), bfloat16)
            chunk = next_integer(arguments + 8 * CHUNK)

    return kernel(forward)


@functools.cache
def relu_backward(bfloat16: bool):
    """The kernel of the gradient of that, in place of the gradient of what came out, which tells what was kept. Of rows
    of WIDTH numbers, ROWS_OF_CHUNK a chunk, whose sums over the rows of each chunk go to SUMS, (chunks, WIDTH)."""
    version = VERSION

    def backward(arguments):
        hidden, gradient = argument(arguments, HIDDEN), argument(arguments, HIDDEN_GRADIENT)
        numbers, dropped = argument(arguments, NUMBERS), argument(arguments, HIDDEN_DROPPED)
        width = argument(arguments, WIDTH)
        kept = splat(16, 1.0 / (1.0 - dropped / 4294967296.0))
        size = ROWS_OF_CHUNK * width
        chunk = next_integer(arguments + 8 * CHUNK)
        while chunk < argument(arguments, CHUNKS) and version >= 0:
            sums = argument(arguments, SUMS) + 4 * chunk * width
            for c in range(0, width, 16):
                of_column = splat(16, 0.0)
                for i in range(chunk * size + c, min((chunk + 1) * size, numbers), width):
                    slope = where_positive(read(hidden, i, bfloat16), read(gradient, i, bfloat16) * kept)
                    write(gradient, i, slope, bfloat16)
                    of_column = of_column + slope
                store(sums + 4 * c, of_column)
            chunk = next_integer(arguments + 8 * CHUNK)

    return kernel(backward)
