"""Cards of folders: what a card says is kept beside it, so that it can be rendered anew; and checks of cards."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from cate_hf.hub._checks_files import CheckpointError, read_object
from cate_hf.hub._layout import CARD, CARD_FACTS
from cate_hf.hub.cards import (
    CARD_DIGEST,
    PARAMETERS,
    ModelCardFacts,
    card_digest,
    render_dataset_card,
    render_model_card,
)

__all__ = ["check_card", "render_checkpoint_card", "render_pairs_card", "write_card"]

_MAX_CARD_BYTES = 1 << 20


def read_facts(folder: Path) -> dict[str, Any]:
    """What is known of how a checkpoint came to be: its card.json, or without one only what its configuration says.

    Raises:
        CheckpointError: card.json is not an object of known facts.
    """
    path = folder / CARD_FACTS
    if not path.is_file():
        return {"space": read_object(folder / "config.json").get("space", "an unknown space")}
    facts = read_object(path)
    facts.pop(CARD_DIGEST, None)
    known = {PARAMETERS, *(field.name for field in fields(ModelCardFacts))}
    if unknown := sorted(facts.keys() - known):
        raise CheckpointError(f"{path}: unknown fact {unknown[0]!r}; made by a newer version of cate_hf?")
    if isinstance(taus := facts.get("kendall_tau"), Mapping):  # JSON has no keys that are numbers
        try:
            facts["kendall_tau"] = {name: {int(n): float(t) for n, t in by.items()} for name, by in taus.items()}
        except (AttributeError, TypeError, ValueError):
            raise CheckpointError(f"{path}: kendall_tau is not {{encoding: {{labels: tau}}}}") from None
    return facts


def probe_facts(folder: str | Path) -> dict[str, Any]:
    """What a card says of a folder of `cate evaluate --probe`. Raises ValueError where it is none."""
    from cate_hf.experiments.probe import columns_of, number, protocol, read_probe

    found = read_probe(Path(folder))
    results = found["encodings"]
    names = {"operation_probe": "operation found", "edge_probe": "edge found"}
    return {
        "probes": {
            encoding: {names.get(n) or f"{kind} @{n}": number(result, (kind, n)) for kind, n in columns_of(results)}
            for encoding, result in results.items()
        },
        "probe_protocol": protocol(found),
    }


def render_checkpoint_card(
    folder: str | Path, repository: str | None = None, more: Mapping[str, Any] | None = None
) -> str:
    """The card of a checkpoint's folder, of its facts, its configuration and its weights; of a predictor's, of all of
    it.

    Args:
        repository: what the card's example loads; a path to fill in by default.
        more: facts beside those of the folder.

    Raises:
        CheckpointError: the folder is not a checkpoint of CATE.
    """
    from cate_hf.hub.checks import check_checkpoint_folder
    from cate_hf.predictor.files import PICTURE_FILE, PREDICTOR_FILE, load_predictor

    checked = check_checkpoint_folder(folder)
    if (checked.folder / PREDICTOR_FILE).is_file():
        from cate_hf.predictor.card import render_card

        picture = (checked.folder / PICTURE_FILE).is_file()
        return render_card(load_predictor(checked.folder), repository, picture)
    facts = read_facts(checked.folder) | dict(more or {})
    try:
        parameters = int(facts.pop(PARAMETERS, checked.parameters))
        return render_model_card(facts, checked.config, parameters, repository)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{checked.folder / CARD_FACTS}: no card can be made of it ({error})") from None


def render_pairs_card(folder: str | Path, repository: str | None = None) -> str:
    """The card of a folder that `cate pairs` wrote.

    Raises:
        ValueError: it is not such a folder, or its facts are not those of a card.
    """
    from cate_hf.data.pairs import FACTS_FILE, check_folder

    facts = check_folder(folder)
    try:
        return render_dataset_card(facts, repository)
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{Path(folder) / FACTS_FILE}: no card can be made of it ({error})") from None


def check_card(text: str, kind: str, source: str = CARD) -> None:
    """Check a card as far as that goes without the Hub: its metadata is valid, complete and of known kinds.

    Args:
        kind: "model" or "dataset".

    Raises:
        ValueError: in one line, what is wrong with it.
    """
    from huggingface_hub import DatasetCard, ModelCard
    from huggingface_hub.utils import yaml_dump

    if len(text.encode()) > _MAX_CARD_BYTES:
        raise ValueError(f"{source}: larger than {_MAX_CARD_BYTES:,} bytes")
    try:
        data = {"model": ModelCard, "dataset": DatasetCard}[kind](text, ignore_metadata_errors=False).data
        content = data.to_dict()
        yaml_dump(content)
    except Exception as error:  # of the YAML reader, or of the metadata's classes
        raise ValueError(f"{source}: its metadata is not valid ({' '.join(str(error).split())[:300]})") from None
    if not content:
        raise ValueError(f"{source}: no metadata between lines of --- at its start; render it with `cate card`")
    needed = ("library_name", "pipeline_tag", "license", "tags") if kind == "model" else ("tags", "configs")
    for name in needed:
        if not content.get(name):
            raise ValueError(f"{source}: its metadata has no {name}")
    license_name = content.get("license")
    if license_name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", str(license_name)):
        raise ValueError(f"{source}: license is {license_name!r}, expected the Hub's name of one, such as apache-2.0")
    for result in getattr(data, "eval_results", None) or ():
        if not isinstance(result.metric_value, int | float) or result.metric_value != result.metric_value:
            raise ValueError(f"{source}: the result {result.metric_name!r} is {result.metric_value!r}, not a number")


def is_as_rendered(folder: Path, card: str, rendered: str) -> bool:
    """Whether a checkpoint's or pairs' card is what was rendered, now or when the folder was written, and nobody's own
    text.
    """
    path = folder / CARD_FACTS
    known = read_object(path).get(CARD_DIGEST) if path.is_file() else None
    return card == rendered or known == card_digest(card)


def write_card(folder: str | Path, text: str, more: Mapping[str, Any] | None = None) -> Path:
    """Put a rendered card in its place, whole or not at all, and the facts that it was given beside the others."""
    from cate_hf.core._files import atomic_output

    path, facts_path = Path(folder) / CARD, Path(folder) / CARD_FACTS
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if facts_path.is_file():
        facts = read_object(facts_path) | dict(more or {}) | {CARD_DIGEST: card_digest(text)}
        with atomic_output(facts_path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
