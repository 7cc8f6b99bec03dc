import subprocess
import sys

import pytest
import torch
from torch import nn

from cate_hf.spaces.darts._network import FactorizedReduce


def test_costs_need_no_torch_and_networks_import_it_alone():
    code = """
import sys
import cate_hf.spaces.darts._costs, cate_hf.spaces.nasbench201.costs
assert "torch" not in sys.modules
from cate_hf.spaces.darts._network import build_darts
from cate_hf.spaces.nasbench101._network import build_nasbench101
from cate_hf.spaces.nasbench201._network import build_nasbench201
assert "torch" in sys.modules and "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_factorized_reduce_sees_even_and_odd_pixels(size):
    layer = FactorizedReduce(1, 3)
    layer.norm = nn.Identity()
    for convolution in (layer.even, layer.odd):
        nn.init.ones_(convolution.weight)
    image = torch.arange(1.0, size * size + 1).reshape(1, 1, size, size)
    output = layer(image)
    half = (size + 1) // 2
    assert output.shape == (1, 3, half, half)
    assert torch.equal(output[0, 0], image[0, 0, ::2, ::2])
    odd = image[0, 0, 1::2, 1::2]
    for channel in (1, 2):  # the odd target has one channel more of the shifted pixels
        assert torch.equal(output[0, channel, : size // 2, : size // 2], odd)
        assert output[0, channel].sum() == odd.sum()
