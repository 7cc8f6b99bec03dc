"""Numbers made of others by a fixed rule."""

import numpy as np


def splitmix64(z):
    """A bijection of 64 bits that spreads each over all: the output function of SplitMix64 (Steele, Lea, Flood, OOPSLA
    2014), of a uint64 or an array of them.
    """
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
