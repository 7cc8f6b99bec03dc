"""Names of the encodings."""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from cate_hf.core._names import Catalog, unknown
from cate_hf.encodings.base import Encoding
from cate_hf.spaces import Space, get_space

__all__ = ["CATALOG", "encoding_names", "get_encoding", "register_encoding"]

# A module is imported when an encoding of it is made.
_OWN = {
    "adjacency": "cate_hf.encodings._adjacency:AdjacencyEncoding",
    "adjacency-onehot": "cate_hf.encodings._adjacency:AdjacencyEncoding",
    "adjacency-categorical": "cate_hf.encodings._adjacency:CategoricalAdjacencyEncoding",
    "adjacency-continuous": "cate_hf.encodings._adjacency:ContinuousAdjacencyEncoding",
    "path": "cate_hf.encodings._paths:PathEncoding",
    "path-truncated": "cate_hf.encodings._paths:TruncatedPathEncoding",
    "path-categorical": "cate_hf.encodings._paths:CategoricalPathEncoding",
    "path-categorical-truncated": "cate_hf.encodings._paths:TruncatedCategoricalPathEncoding",
    "path-continuous": "cate_hf.encodings._paths:ContinuousPathEncoding",
    "path-continuous-truncated": "cate_hf.encodings._paths:TruncatedContinuousPathEncoding",
    "d-vae": "cate_hf.autoencoders._dvae:DVaeEncoding",
    "arch2vec": "cate_hf.autoencoders._arch2vec:Arch2VecEncoding",
    "cate": "cate_hf.encodings._checkpoint:default_encoding",
    "structure": "cate_hf.encodings._structure:StructureEncoding",
    "zero-cost": "cate_hf.encodings._zero_cost:ZeroCostEncoding",
    "universal": "cate_hf.encodings.universal:UniversalEncoding",
    "parameters": "cate_hf.encodings._baselines:ParametersEncoding",
    "random": "cate_hf.encodings._baselines:RandomEncoding",
}
CATALOG = Catalog("cate_hf.encodings", "encoding", _OWN)


def encoding_names() -> list[str]:
    """Names of all encodings that are known: the package's, installed ones and registered ones."""
    return CATALOG.names()


def register_encoding(name: str, factory: Callable[..., Encoding], replace: bool = False) -> None:
    """Make an encoding of one's own known by a name, in this process. Installed packages name theirs by the entry point
    group `cate_hf.encodings`.

    Args:
        factory: makes the encoding of a `Space`, such as a subclass of `BaseEncoding`.
        replace: whether the name may be registered anew.

    Raises:
        ValueError: another encoding has that name already.
    """
    CATALOG.register(name, factory, replace)


def get_encoding(name: str | os.PathLike, space: "str | os.PathLike | Space", **settings: Any) -> Encoding:
    """An encoding of a search space.

    Args:
        name: one of `encoding_names()`; a CATE checkpoint: a bundled one's name, or a folder; or a folder of
            `cate pretrain-encoding`. "cate" is the checkpoint that is bundled for the space, or "universal" where there
            is none, of which a warning tells.
        space: a space's name, the YAML file of one, or a `Space`.
        **settings: of the encoding.

    Raises:
        ValueError: nothing of that name (the message has the nearest), or an encoding that the space cannot have, such
            as a checkpoint of another.
    """
    space = get_space(space)
    factory = _find(name)
    if factory is None:
        from cate_hf.encodings._checkpoint import CateEncoding

        return CateEncoding(space, checkpoint=name, **settings)
    encoding = factory(space, **settings)
    if not isinstance(encoding, Encoding):
        raise ValueError(f"encoding {name!r}: {type(encoding).__name__} lacks {', '.join(_lacking(encoding))}")
    return encoding


def check_encodings(names: Iterable[str]) -> None:
    """Refuse, before any encoding is made, a name that nothing has, and a file of encodings that is not there."""
    for name in names:
        if Path(name).suffix != ".parquet":
            _find(name)
        elif not os.path.exists(name):
            raise FileNotFoundError(f"{name}: no such file")


def _find(name: str | os.PathLike) -> Callable[..., Encoding] | None:
    """What makes the encoding of a name; None for a checkpoint."""
    if name in CATALOG.names():
        return CATALOG.get(str(name))
    from cate_hf.encodings.folders import saved_encoding
    from cate_hf.hub._layout import checkpoint_names
    from cate_hf.hub.download import is_repo_id

    if kind := saved_encoding(name):
        return partial(CATALOG.get(kind), model=name)
    if name in checkpoint_names() or os.path.exists(name) or is_repo_id(name):
        return None
    raise unknown("encoding", name, [*encoding_names(), *checkpoint_names()])


def _lacking(encoding: object) -> list[str]:
    members = [*Encoding.__annotations__, "fit", "transform", "sample", "perturb", "distance"]
    return [member for member in members if not hasattr(encoding, member)]
