"""Checkpoint folders: found by name, checked, and loaded without unpickling."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cate_hf.core._names import nearest, unknown
from cate_hf.hub._checks_config import VOCABULARY
from cate_hf.hub._checks_files import shown
from cate_hf.hub._layout import WEIGHTS, bundled_path, checkpoint_names
from cate_hf.hub._registry import registered_encoders
from cate_hf.hub.checks import check_checkpoint_folder
from cate_hf.hub.download import cached_checkpoint, download_encoder, is_repo_id
from cate_hf.hub.errors import HubError

__all__ = ["checkpoint_path", "fetch_encoder", "load_model", "load_tokenizer", "resolve_checkpoint"]
_TOKENIZER_SETTINGS = ("alias_special_ids", "pad_to", "model_max_length")


def checkpoint_path(name: str) -> Path:
    """Return the folder of a checkpoint that is on this machine: bundled, or in the cache by name or repository id.

    Raises:
        ValueError: there is none of that name; the message has the nearest name.
    """
    if name in checkpoint_names():
        return bundled_path(name)
    if (cached := cached_checkpoint(str(name))) is not None:
        return cached
    names = sorted({*checkpoint_names(), *registered_encoders()})
    hint = nearest(name, names, otherwise=f"bundled are: {', '.join(names) or 'none'}", cutoff=0.4)
    raise ValueError(f"no bundled checkpoint {str(name)!r}; {hint}")


def resolve_checkpoint(name_or_path: str | os.PathLike, revision: str | None = None) -> Path:
    """The folder that a name stands for: of a bundled checkpoint, a path, or downloaded from the Hub, in this order.

    Args:
        name_or_path: a bundled or registered name, a folder, or a repository id, owner/name.
        revision: branch or commit of the repository; what is given one is taken from the Hub.

    Raises:
        ValueError: none of these, or what `cate_hf.hub.download.download_checkpoint` raises.
    """
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


def load_model(name_or_path: str | os.PathLike, model_class=None, **kwargs):
    """Load a model of CATE: this package's class, safetensors only, no remote code, checked before.

    Args:
        name_or_path: as for `load_encoder`.
        model_class: one of the model classes; `CateModel` by default.
        **kwargs: passed to `from_pretrained`, such as `dtype`.

    Fields of other programs in config.json have no effect, and one warning names those that transformers does not know.

    Raises:
        ValueError: no such checkpoint, a damaged one, or one that lacks weights of the model.
    """
    from safetensors import SafetensorError

    if model_class is None:
        from cate_hf.modeling.modeling_cate import CateModel as model_class
    folder = resolve_checkpoint(name_or_path)
    checked = check_checkpoint_folder(folder)
    if checked.foreign:
        names = ", ".join(shown(name)[1:-1] for name in checked.foreign)
        warnings.warn(f"{folder}: fields of other programs are not used: {names}", stacklevel=2)
    try:
        with quiet_transformers():
            model, info = model_class.from_pretrained(
                folder,
                config=checked.config,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **kwargs,
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


def load_tokenizer(name_or_path: str | os.PathLike):
    """Load the `CateTokenizer` of a checkpoint, checked before; the name is as for `load_encoder`."""
    from cate_hf.tokenization.tokenization_cate import CateTokenizer

    folder = resolve_checkpoint(name_or_path)
    checked = check_checkpoint_folder(folder, weights=False)
    if not checked.tokenizer:
        return CateTokenizer.from_config(checked.config)
    settings = {name: checked.tokenizer[name] for name in _TOKENIZER_SETTINGS if name in checked.tokenizer}
    try:
        return CateTokenizer(str(folder / VOCABULARY), name_or_path=str(folder), **settings)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{folder}: its tokenizer cannot be loaded ({str(error).strip().splitlines()[0]})") from None


@contextmanager
def quiet_transformers() -> Iterator[None]:
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


def fetch_encoder(name: str, revision: str | None = None) -> Path:
    """Return the checked folder of an encoder, downloaded where it is not bundled.

    Raises:
        ValueError: no such name or repository, it cannot be downloaded, or it is not a checkpoint of CATE.
    """
    if revision is None and name in checkpoint_names():
        folder = bundled_path(name)
    elif name in registered_encoders() or is_repo_id(name):
        folder = download_encoder(name, revision)
    else:
        raise unknown("encoder", name, {*registered_encoders(), *checkpoint_names()})
    check_checkpoint_folder(folder)
    return folder
