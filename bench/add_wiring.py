"""Make a checkpoint of format 2 one of format 3: its weights as they are, and beside them the wiring of the encoding.

    python bench/add_wiring.py NAME_OR_FOLDER OUTPUT [--dim 128] [--tau tau.json ...] [--overwrite]

The map of the wiring part is fitted to 8,192 architectures of the space's pool, without labels. tau.json is what
`bench/frozen_tau.py --model OUTPUT --output` wrote of the result: run this twice, the second time with --tau.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bundle_checkpoint import tau_facts

from cate_hf.hub._layout import CARD_FACTS, SPACE_FILE
from cate_hf.hub.load import load_model, load_tokenizer, resolve_checkpoint
from cate_hf.hub.save import save_checkpoint
from cate_hf.modeling import CateForPreTraining
from cate_hf.modeling.configuration_cate import FORMAT_VERSION, MOST_DEPTHS, WIRING_DIM
from cate_hf.modeling.wiring_cate import CateWiring
from cate_hf.spaces import get_space
from cate_hf.training._batches import TokenArrays
from cate_hf.training._setup import fit_wiring

ROWS = 8192
_RENDERED = ("num_parameters", "card_sha256")  # in a card's facts, but none of them


def add_wiring(name: str, output: Path, dim: int, tau_files: Sequence[Path], overwrite: bool) -> Path:
    """Write the checkpoint with the part. Raises ValueError for one that has it, or that no pooler can be asked of."""
    folder = resolve_checkpoint(name)
    model, tokenizer = load_model(folder, CateForPreTraining).eval(), load_tokenizer(folder)
    if model.cate.wiring is not None or model.cate.pooler is None:
        raise ValueError(f"{name}: expected a checkpoint of the default design without a wiring part")
    described = folder / SPACE_FILE
    space = get_space(described if described.is_file() else model.config.space)
    config = model.config
    config.wiring_dim, config.wiring_depths = dim, min(config.max_nodes, MOST_DEPTHS)
    config.format_version = FORMAT_VERSION
    model.cate.wiring = CateWiring(config)
    table = space.pool()
    table = table[np.sort(np.random.default_rng(0).permutation(len(table))[:ROWS])]
    fit_wiring(model, TokenArrays.from_table(tokenizer, table), np.arange(len(table)))
    facts = json.loads((folder / CARD_FACTS).read_text(encoding="utf-8"))
    facts = {key: value for key, value in facts.items() if key not in _RENDERED}
    facts["command"] = (
        f"{facts.get('command') or ''}\npython bench/add_wiring.py {name} {output.name} --dim {dim}".strip()
    )
    if tau_files:
        facts |= tau_facts(tau_files, mixed=False)
    definition = described.read_text(encoding="utf-8") if described.is_file() else None
    return save_checkpoint(output, model, tokenizer, facts, overwrite, definition, remote_code=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("output", type=Path)
    parser.add_argument("--dim", type=int, default=WIRING_DIM)
    parser.add_argument("--tau", type=Path, nargs="+", default=[])
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    try:
        folder = add_wiring(options.name, options.output, options.dim, options.tau, options.overwrite)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"checkpoint in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
