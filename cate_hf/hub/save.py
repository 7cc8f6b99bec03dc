"""Checkpoint folders saved with all that the Hub and the Auto classes want of them."""

from collections.abc import Mapping
from pathlib import Path

from cate_hf.core.files import atomic_output
from cate_hf.hub.cards import facts_text, render_model_card
from cate_hf.hub.layout import (
    AUTO_MAP,
    CARD,
    CARD_FACTS,
    OWN_FILES,
    SPACE_FILE,
    TOKENIZER_AUTO_MAP,
    remote_code_files,
    set_auto_map,
)
from cate_hf.hub.load import quiet_transformers


def save_checkpoint(
    directory: str | Path,
    model,
    tokenizer,
    card_facts: Mapping,
    overwrite: bool = False,
    space_definition: str | None = None,
) -> Path:
    """Save a model with all that goes with it; the folder appears whole or not at all.

    Args:
        directory: the folder to make.
        model: any of the three model classes, in the precision that should be saved.
        tokenizer: its `CateTokenizer`.
        card_facts: a `cate_hf.hub.cards.ModelCardFacts`, or a mapping with its fields.
        overwrite: replace the folder when it exists.
        space_definition: the YAML text of a user's own search space (`Space.definition`), stored with the model.

    Returns:
        The folder.

    Raises:
        FileExistsError: the folder exists and `overwrite` is False.
        ValueError: an unknown fact.
    """
    from safetensors import SafetensorError

    parameters = sum(p.numel() for p in model.parameters())
    card = render_model_card(card_facts, model.config, parameters)
    with atomic_output(directory, overwrite, OWN_FILES) as temporary:
        folder = Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with quiet_transformers():
                model.save_pretrained(folder)
        except SafetensorError as error:
            raise OSError(f"{directory}: the weights cannot be written ({error})") from None
        tokenizer.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):
            weights.chmod((folder / "config.json").stat().st_mode)  # written readable by the owner alone
        for source in remote_code_files():
            (folder / source.name).write_bytes(source.read_bytes())
        # save_pretrained only names the class that was saved; every Auto class has to find its own.
        set_auto_map(folder / "config.json", AUTO_MAP)
        set_auto_map(folder / "tokenizer_config.json", {"AutoTokenizer": TOKENIZER_AUTO_MAP})
        (folder / CARD).write_text(card, encoding="utf-8")
        (folder / CARD_FACTS).write_text(facts_text(card_facts, parameters, card), encoding="utf-8")
        if space_definition is not None:
            (folder / SPACE_FILE).write_text(space_definition, encoding="utf-8")
    return Path(directory)
