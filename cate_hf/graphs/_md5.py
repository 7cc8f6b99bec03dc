"""MD5 of many messages at once, sixteen side by side in the lanes of vectors, compiled by numba.

A batch is LANES messages, each in a row of bytes with room for the padding; rows may have different lengths.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cate_hf.core._compiled import compiled

LANES = 16

# Constants of the rounds (RFC 1321, section 3.4).
_SINES = (np.abs(np.sin(np.arange(1, 65, dtype=np.float64))) * 2**32).astype(np.uint32).tolist()
_SHIFTS = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
_START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], dtype=np.uint32)
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


@intrinsic
def _absorb(typing, words, state):
    """Add a block to the digests at address `state` (4, LANES), its words at address `words` (16, LANES)."""

    def codegen(context, builder, signature, arguments):
        integer = ir.IntType(32)
        vector = ir.VectorType(integer, LANES)

        def every(number: int) -> ir.Constant:
            return ir.Constant(vector, [number] * LANES)

        def at(start, row: int):
            return builder.gep(start, [ir.Constant(integer, row)])

        block, digest = (builder.inttoptr(argument, vector.as_pointer()) for argument in arguments)
        before = [builder.load(at(digest, row), align=4) for row in range(4)]
        word = [builder.load(at(block, row), align=4) for row in range(16)]
        xor = builder.xor
        a, b, c, d = before
        for step in range(64):
            if step < 16:
                f, index = xor(d, builder.and_(b, xor(c, d))), step
            elif step < 32:
                f, index = xor(c, builder.and_(d, xor(b, c))), (5 * step + 1) % 16
            elif step < 48:
                f, index = xor(xor(b, c), d), (3 * step + 5) % 16
            else:
                f, index = xor(c, builder.or_(b, builder.not_(d))), 7 * step % 16
            f = builder.add(builder.add(f, a), builder.add(word[index], every(_SINES[step])))
            shift = _SHIFTS[step // 16][step % 4]
            f = builder.or_(builder.shl(f, every(shift)), builder.lshr(f, every(32 - shift)))
            a, b, c, d = d, builder.add(f, b), b, c
        for row, (old, new) in enumerate(zip(before, (a, b, c, d), strict=True)):
            builder.store(builder.add(old, new), at(digest, row), align=4)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), codegen


@compiled(nogil=True)
def pad(message, length):
    """Write the padding behind the first `length` bytes of a row; returns its number of blocks."""
    blocks = (length + 9 + 63) // 64
    message[length] = 0x80
    for byte in range(length + 1, 64 * blocks):
        message[byte] = 0
    bits = 8 * length
    for byte in range(4):
        message[64 * blocks - 8 + byte] = (bits >> (8 * byte)) & 0xFF
    return blocks


@compiled(nogil=True)
def digest_batch(messages, blocks, texts):
    """Write the digests of a batch as text: messages (LANES, room) of padded bytes, blocks (LANES,), 0 for none; texts
    (LANES, 32) uint8.
    """
    words = np.empty((16, LANES), dtype=np.uint32)
    state = np.empty((4, LANES), dtype=np.uint32)
    most = 0
    for lane in range(LANES):
        most = max(most, blocks[lane])
        for row in range(4):
            state[row, lane] = _START[row]
    of_rows = messages.view(np.uint32)
    for block in range(most):
        for lane in range(LANES):
            if block < blocks[lane]:
                for word in range(16):
                    words[word, lane] = of_rows[lane, 16 * block + word]
        _absorb(words.ctypes.data, state.ctypes.data)
        for lane in range(LANES):
            if block == blocks[lane] - 1:
                for position in range(16):
                    byte = (state[position >> 2, lane] >> np.uint32(8 * (position & 3))) & np.uint32(0xFF)
                    texts[lane, 2 * position] = _DIGITS[byte >> np.uint32(4)]
                    texts[lane, 2 * position + 1] = _DIGITS[byte & np.uint32(15)]


@compiled(nogil=True)
def digests(texts, hashes):
    """MD5 of N texts of one length, (N, length) uint8, written as text to hashes (N, 32) uint8."""
    n, length = texts.shape
    messages = np.empty((LANES, 64 * ((length + 9 + 63) // 64)), dtype=np.uint8)
    blocks = np.zeros(LANES, dtype=np.int64)
    written = np.empty((LANES, 32), dtype=np.uint8)
    for first in range(0, n, LANES):
        batch = min(LANES, n - first)
        for lane in range(LANES):
            blocks[lane] = 0
            if lane < batch:
                for byte in range(length):
                    messages[lane, byte] = texts[first + lane, byte]
                blocks[lane] = pad(messages[lane], length)
        digest_batch(messages, blocks, written)
        for lane in range(batch):
            for byte in range(32):
                hashes[first + lane, byte] = written[lane, byte]
