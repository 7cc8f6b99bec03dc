"""Checkpoint folders: found by name, checked, loaded without unpickling, and saved so that the Hub can serve them.

A folder holds config.json, model.safetensors, the tokenizer's files, README.md and the files of remote code, so that
AutoModel, AutoModelForPreTraining and AutoTokenizer load it where this package is not installed.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from cate_hf.auto import MODEL_CLASSES
from cate_hf.hub.checks import check_checkpoint_folder
from cate_hf.names import nearest

CARD, CARD_FACTS = "README.md", "card.json"  # the second is what the first says, to render it anew

# The packages whose modules *_cate.py travel with a checkpoint.
REMOTE_CODE_PACKAGES = ("cate_hf.modeling", "cate_hf.tokenization")
TOKENIZER_AUTO_MAP = ["tokenization_cate.CateTokenizer", None]
AUTO_MAP = {
    "AutoConfig": "configuration_cate.CateConfig",
    **{auto_class: f"modeling_cate.{model_class}" for auto_class, model_class in MODEL_CLASSES.items()},
    "AutoTokenizer": TOKENIZER_AUTO_MAP,
}
WEIGHTS = "model.safetensors"
OWN_FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "vocab.json", "tokenizer*.json", CARD, CARD_FACTS),
    *("special_tokens_map.json", "added_tokens.json", "*_cate.py", "space.yaml"),
)
"""Patterns of the files of a checkpoint's folder."""
SPACE_FILE = "space.yaml"  # beside the weights where the search space is a user's own


def checkpoint_names() -> list[str]:
    """Names of the checkpoints bundled with the package."""
    root = files("cate_hf.checkpoints")
    return sorted(entry.name for entry in root.iterdir() if entry.joinpath("config.json").is_file())


def checkpoint_path(name: str) -> Path:
    """Folder of a checkpoint that is here: bundled, or in the cache under its name or its repository id.

    Raises:
        ValueError: there is none of that name here; the nearest name is told.
    """
    from cate_hf.hub.download import cached_checkpoint
    from cate_hf.hub.registry import registered_encoders

    if name in checkpoint_names():
        return Path(str(files("cate_hf.checkpoints").joinpath(name)))
    if (cached := cached_checkpoint(str(name))) is not None:
        return cached
    names = sorted({*checkpoint_names(), *registered_encoders()})
    hint = nearest(name, names, otherwise=f"bundled are: {', '.join(names) or 'none'}", cutoff=0.4)
    raise ValueError(f"no bundled checkpoint {str(name)!r}; {hint}")


def resolve_checkpoint(name_or_path: str | Path, revision: str | None = None) -> Path:
    """The folder that a name stands for: of a bundled checkpoint, a path, or downloaded from the Hub, in this order.

    Args:
        name_or_path: a bundled or registered name, a folder, or a repository id, owner/name.
        revision: branch or commit of the repository; what is given one is taken from the Hub.

    Raises:
        ValueError: none of these, or what `cate_hf.hub.download.download_checkpoint` raises.
    """
    from cate_hf.hub.download import download_encoder, is_repo_id
    from cate_hf.hub.errors import HubError
    from cate_hf.hub.registry import registered_encoders

    name = str(name_or_path)
    if revision is None and name in checkpoint_names():
        return checkpoint_path(name)
    if revision is None and Path(name_or_path).exists():
        return Path(name_or_path)
    if name in registered_encoders():
        return download_encoder(name, revision)
    if not is_repo_id(name_or_path):
        try:
            return checkpoint_path(name)
        except ValueError as error:
            raise ValueError(
                f"{error}; and there is no such folder, nor is it a repository of the Hub, owner/name"
            ) from None
    try:
        return download_encoder(name, revision)
    except HubError as error:
        if revision is not None or error.unreachable:
            raise
        raise HubError(f"{error} (nor is there a folder {name})") from None


def remote_code_files() -> list:
    """The code that travels with every checkpoint, as readable resources with a `name`."""
    entries = [entry for package in REMOTE_CODE_PACKAGES for entry in files(package).iterdir()]
    return sorted((entry for entry in entries if entry.name.endswith("_cate.py")), key=lambda entry: entry.name)


def load_model(name_or_path: str | Path, model_class=None, **kwargs):
    """Load a model of CATE: this package's class, safetensors only, no remote code, checked before.

    Args:
        name_or_path: as for `load_encoder`.
        model_class: one of the model classes; `CateModel` by default.
        **kwargs: passed to `from_pretrained`, such as `dtype`.

    Raises:
        ValueError: no such checkpoint, a damaged one, or one that lacks weights of the model.
    """
    from safetensors import SafetensorError

    if model_class is None:
        from cate_hf.modeling.modeling_cate import CateModel as model_class
    folder = resolve_checkpoint(name_or_path)
    check_checkpoint_folder(folder)
    try:
        with _quiet():
            model, info = model_class.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **kwargs
            )
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS}: damaged or truncated ({error})") from None
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{folder}: cannot be loaded ({str(error).strip().splitlines()[0]})") from None
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(
            f"{folder / WEIGHTS}: {len(missing)} weights of {model_class.__name__} are missing, such as {missing[0]!r}"
        )
    return model


def load_tokenizer(name_or_path: str | Path):
    """Load the `CateTokenizer` of a checkpoint, checked before; the name is as for `load_encoder`."""
    from cate_hf.tokenization.tokenization_cate import CateTokenizer

    folder = resolve_checkpoint(name_or_path)
    check_checkpoint_folder(folder, weights=False)
    try:
        return CateTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{folder}: its tokenizer cannot be loaded ({str(error).strip().splitlines()[0]})") from None


def load_encoder(
    name_or_path: str | Path, device: str | None = None, revision: str | None = None, precision: str = "float32"
):
    """Load an encoder of architectures. Of a bundled checkpoint or a folder no network is touched.

    Args:
        name_or_path: a bundled checkpoint's name, such as "nasbench101", a folder (from pre-training too), or a
            repository of the Hub, owner/name: downloaded once and kept in the cache of huggingface_hub, which also
            serves without network. No code of a folder or a repository is run.
        device: where to encode; a GPU where there is one by default.
        revision: branch or commit of the repository.
        precision: "float32", or "bfloat16": faster, and less exact (see `Encoder`).

    Returns:
        `cate_hf.encodings.cate.Encoder`.

    Raises:
        ValueError: no such checkpoint, it cannot be downloaded, or it is not a complete checkpoint of CATE.
    """
    import torch

    from cate_hf.encodings.cate import Encoder
    from cate_hf.spaces import Space

    folder = resolve_checkpoint(name_or_path, revision)
    model = load_model(folder, dtype=torch.float32)
    described = folder / SPACE_FILE
    search_space = Space.from_file(described) if described.is_file() else None
    return Encoder(model, load_tokenizer(folder), device=device, search_space=search_space, precision=precision)


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

    from cate_hf.files import atomic_output
    from cate_hf.hub.card_files import facts_text
    from cate_hf.hub.cards import render_model_card

    parameters = sum(p.numel() for p in model.parameters())
    card = render_model_card(card_facts, model.config, parameters)
    with atomic_output(directory, overwrite, OWN_FILES) as temporary:
        folder = Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _quiet():
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


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of transformers, and no remarks on the head's weights that an encoder leaves aside."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def set_auto_map(path: Path, auto_map: Mapping) -> None:
    """Set the auto_map of a JSON file that transformers wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["auto_map"] = dict(auto_map)
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
