"""Keep a small random checkpoint as this version writes it, for test_formats.py: run once when a format is released.

python -m tests.hub.freeze_format format_3
"""

import json
import sys
from pathlib import Path

import torch

from cate_hf import CateConfig, CateForPreTraining, CateTokenizer
from cate_hf.hub.load import load_model, load_tokenizer
from cate_hf.hub.save import save_checkpoint
from tests.tiny import CELLS, SIZES

FROZEN = Path(__file__).with_name("frozen")
SMALL = SIZES | {"intermediate_size": 32, "cross_intermediate_size": 32}


def freeze(name: str, config: CateConfig) -> None:
    """Write the folder `name` and, beside it, the encodings and logits that it gives."""
    if (FROZEN / name).exists():
        raise SystemExit(f"{FROZEN / name} exists; what was frozen stays as it is")
    torch.manual_seed(1)
    model = CateForPreTraining(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # also those that start as zeros
    folder = save_checkpoint(FROZEN / name, model, CateTokenizer.from_config(config), {"space": "nasbench101"})
    for path in (*folder.glob("*_cate.py"), folder / "README.md", folder / "card.json"):
        path.unlink()  # what loads it is this package
    batch = load_tokenizer(folder)(CELLS, return_tensors="pt")
    other = {f"pair_{key}": value.flip(0) for key, value in batch.items()}
    with torch.inference_mode():
        encodings = load_model(folder).eval()(**batch).pooler_output
        logits = load_model(folder, CateForPreTraining).eval()(**batch, **other).logits
    expected = {"logits_shape": list(logits.shape), "logits_of_the_first_pair": logits[0].tolist()}
    (FROZEN / f"{name}.json").write_text(json.dumps({"encodings": encodings.tolist()} | expected) + "\n")
    print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()):,} bytes")


if __name__ == "__main__":
    freeze(
        sys.argv[1],
        CateConfig.for_space("nasbench101", statistics=["vertices", "edges"], learnt_in_encoding=True, **SMALL),
    )
