"""Random bits by counting: a mixed number of an element and a seed, so that any element's can be had at any time."""

from cate_hf.kernels._dispatch import inlined
from cate_hf.kernels._simd import lane_numbers, splat


@inlined
def random_bits(seed, seed_2, counter):
    """32 random bits for each of the elements counter … counter + 15, of two seeds of 32 bits.

    The two rounds are the finaliser of MurmurHash3 with a multiplier each of its own, by C. Wellons' search
    ("lowbias32"); the seeds come in before either.
    """
    x = (lane_numbers(16) + splat(16, counter)) ^ splat(16, seed)
    x = (x ^ (x >> splat(16, 16))) * splat(16, 0x7FEB352D)
    x = (x ^ (x >> splat(16, 15))) * splat(16, 0x846CA68B)
    x = (x ^ (x >> splat(16, 16))) + splat(16, seed_2)
    x = (x ^ (x >> splat(16, 16))) * splat(16, 0x7FEB352D)
    x = (x ^ (x >> splat(16, 15))) * splat(16, 0x846CA68B)
    return x ^ (x >> splat(16, 16))
