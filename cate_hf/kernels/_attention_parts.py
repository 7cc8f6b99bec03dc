"""What the kernels of attention are made of. Everything is float32 here, in scratch memory, but for what `rows` reads
and `weighted` writes.

`length` is the number of positions, `width` that number up to a multiple of 16, `size` the numbers of a head, a
multiple of 8. Addresses are int64, strides in bytes.
"""

from cate_hf.kernels._dispatch import inlined
from cate_hf.kernels._simd import (
    exponential,
    load,
    load_bfloat16,
    load_one,
    maximum,
    splat,
    store,
    store_bfloat16,
    store_one,
)


@inlined
def rows(to, start, stride, length, size, bfloat16):
    """Rows of `size` numbers, one after the other; those up to a multiple of 4 are 0."""
    for i in range(length):
        for c in range(0, size, 8):
            if bfloat16:
                store(to + 4 * (i * size + c), load_bfloat16(8, start + i * stride + 2 * c))
            else:
                store(to + 4 * (i * size + c), load(8, start + i * stride + 4 * c))
    for i in range(length, (length + 3) // 4 * 4):
        for c in range(0, size, 8):
            store(to + 4 * (i * size + c), splat(8, 0.0))


@inlined
def clear(start, count):
    """Zeros in the place of `count` numbers, a multiple of 16. Lanes beyond length count for nothing, but numbers that
    happen to be there may slow the processor."""
    for i in range(0, count, 16):
        store(start + 4 * i, splat(16, 0.0))


@inlined
def columns(to, start, length, width, size):
    """Rows (length, size) as columns (size, width); lanes beyond length stay."""
    for i in range(length):
        for d in range(size):
            store_one(to + 4 * (d * width + i), load_one(start + 4 * (i * size + d)))


@inlined
def mask_columns(to, start, of_query, of_key, length, width):
    """The mask of a head, transposed: (keys, width); lanes beyond length stay."""
    for j in range(length):
        if of_query == 0:
            value = splat(16, load_one(start + j * of_key))
            for w in range(0, width, 16):
                store(to + 4 * (j * width + w), value)
        else:
            for i in range(length):
                store_one(to + 4 * (j * width + i), load_one(start + i * of_query + j * of_key))


@inlined
def products(to, columns_at, rows_at, length, width, w, size):
    """Products of rows (length, size) and columns (size, width) in lanes w …: (length, width). Four rows at a time."""
    for j in range(0, length, 4):
        a, b, c, d = splat(16, 0.0), splat(16, 0.0), splat(16, 0.0), splat(16, 0.0)
        for k in range(size):
            column = load(16, columns_at + 4 * (k * width + w))
            row = rows_at + 4 * (j * size + k)
            a = a + column * splat(16, load_one(row))
            b = b + column * splat(16, load_one(row + 4 * size))
            c = c + column * splat(16, load_one(row + 8 * size))
            d = d + column * splat(16, load_one(row + 12 * size))
        place = to + 4 * (j * width + w)
        store(place, a)
        store(place + 4 * width, b)
        store(place + 8 * width, c)
        store(place + 12 * width, d)


@inlined
def softmax(scores, mask, scaling, length, width, w):
    """Of scores (length, width) over the first axis, in lanes w …: their exponentials, in place; gives back the inverse
    of the sums."""
    factor = splat(16, scaling)
    greatest = splat(16, -3.0e38)
    for j in range(length):
        place = scores + 4 * (j * width + w)
        score = load(16, place) * factor
        if mask != 0:
            score = score + load(16, mask + 4 * (j * width + w))
        store(place, score)
        greatest = maximum(score, greatest)
    total = splat(16, 0.0)
    for j in range(length):
        place = scores + 4 * (j * width + w)
        power = exponential(load(16, place) - greatest)
        store(place, power)
        total = total + power
    return splat(16, 1.0) / total


def _weighted(lanes):
    @inlined
    def write(to, vector, bfloat16):
        if bfloat16:
            store_bfloat16(to, vector)
        else:
            store(to, vector)

    @inlined
    def weighted(to, stride, weights, of_row, of_sum, values, length, factor, size, bfloat16):
        """Sums over k of weights[i of_row + k of_sum] × row k of values (length, size), times factor, to rows i."""
        for c in range(0, size, lanes):
            for i in range(0, length, 4):
                p, q, r, s = splat(lanes, 0.0), splat(lanes, 0.0), splat(lanes, 0.0), splat(lanes, 0.0)
                for k in range(length):
                    value = load(lanes, values + 4 * (k * size + c))
                    weight = weights + 4 * (i * of_row + k * of_sum)
                    p = p + value * splat(lanes, load_one(weight))
                    q = q + value * splat(lanes, load_one(weight + 4 * of_row))
                    r = r + value * splat(lanes, load_one(weight + 8 * of_row))
                    s = s + value * splat(lanes, load_one(weight + 12 * of_row))
                place, scale = to + i * stride + c * (2 if bfloat16 else 4), splat(lanes, factor)
                write(place, p * scale, bfloat16)
                if i + 1 < length:
                    write(place + stride, q * scale, bfloat16)
                if i + 2 < length:
                    write(place + 2 * stride, r * scale, bfloat16)
                if i + 3 < length:
                    write(place + 3 * stride, s * scale, bfloat16)

    return weighted


_weighted_8, _weighted_16 = _weighted(8), _weighted(16)


@inlined
def weighted(to, stride, weights, of_row, of_sum, values, length, factor, size, bfloat16):
    if size % 16 == 0:
        _weighted_16(to, stride, weights, of_row, of_sum, values, length, factor, size, bfloat16)
    else:
        _weighted_8(to, stride, weights, of_row, of_sum, values, length, factor, size, bfloat16)
