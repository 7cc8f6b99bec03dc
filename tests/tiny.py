"""Small checkpoints with random weights, and cells to feed them."""

from pathlib import Path

import torch

from cate_hf import Architecture, CateConfig, CateForPreTraining, CateTokenizer
from cate_hf.hub.save import save_checkpoint

SIZES = {"num_hidden_layers": 2, "num_cross_layers": 1, "hidden_size": 16, "num_attention_heads": 4, "wiring_dim": 0}

PLAIN = Architecture(["input", "conv3x3-bn-relu", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
SKIP = Architecture(["input", "conv3x3-bn-relu", "output"], [[0, 1, 1], [0, 0, 1], [0, 0, 0]])
_EDGES = [(0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (3, 5), (4, 6), (5, 6)]
LARGE = Architecture(
    ["input", "conv1x1-bn-relu", "maxpool3x3", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv1x1-bn-relu", "output"],
    [[int((x, y) in _EDGES) for y in range(7)] for x in range(7)],
)
CELLS = [SKIP, LARGE, PLAIN]


def tiny_model(space: str = "nasbench101", model_class=CateForPreTraining, **config):
    torch.manual_seed(0)
    return model_class(CateConfig.for_space(space, **(SIZES | config))).eval()


def save_tiny(folder: Path, model_class=CateForPreTraining, facts: dict | None = None, **config) -> Path:
    """A checkpoint folder of a small random model; returns the folder."""
    model = tiny_model(model_class=model_class, **config)
    return save_checkpoint(
        folder, model, CateTokenizer.from_config(model.config), {"space": "nasbench101"} | (facts or {})
    )
