"""The operations of a DARTS cell (Liu et al. 2019) as CATE reads it: 15 nodes, in the reference's id order.

Nodes 0 and 1 are the two inputs; 2, 3 → sum 4; 5, 6 → sum 7; 8, 9 → sum 10; 11, 12 → sum 13; the sums → output 14.
"""

NAME = "darts"
MAX_NODES = 15
VOCABULARY = (
    "c_{k-2}",
    "c_{k-1}",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "sum",
    "output",
)
