"""The encoders and predictors that are known here, and copies of them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cate_hf.hub._checks_files import CheckpointError
from cate_hf.hub._layout import CARD_FACTS, checkpoint_names
from cate_hf.hub._registry import registered_encoders
from cate_hf.hub.checks import check_checkpoint_folder
from cate_hf.hub.download import cached_checkpoint
from cate_hf.hub.load import checkpoint_path, resolve_checkpoint
from cate_hf.predictor.files import predictor_names, predictor_path

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo

__all__ = ["known_encoders", "known_folder", "known_predictors"]


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder or a predictor with a name. What is not known without downloading it, or does not apply, is None.

    Attributes:
        dim: length of an encoding.
        parameters: of the stored model; megabytes: of the folder.
        kendall_tau: labelled architectures → τ with the accuracy of others, of the frozen encoding.
        where: "bundled", "computed" (universal), the folder in the cache, or the repository.
        kind: "encoder" or "predictor".
    """

    name: str
    where: str
    space: str | None = None
    dim: int | None = None
    parameters: int | None = None
    megabytes: float | None = None
    kendall_tau: dict[int, float] | None = None
    kind: str = "encoder"


def known_encoders() -> list[KnownEncoder]:
    """Bundled and registered encoders, and repositories of CATE in the cache of huggingface_hub, by name."""
    from cate_hf.encodings.cate import UNIVERSAL, load_encoder

    found = [_describe(name, checkpoint_path(name), "bundled") for name in checkpoint_names()]
    found.append(KnownEncoder(UNIVERSAL, "computed", "any", load_encoder(UNIVERSAL).dim))
    for name, entry in registered_encoders().items():
        if name not in checkpoint_names():
            folder = cached_checkpoint(name)
            found.append(KnownEncoder(name, entry.repo_id) if folder is None else _describe(name, folder, str(folder)))
    found += [_describe(repo.repo_id, folder, str(folder)) for repo, folder in cached_repositories()]
    return found


def known_predictors() -> list[KnownEncoder]:
    """Bundled predictors, by name."""
    found = [_describe(name, predictor_path(name), "bundled") for name in predictor_names()]
    return [replace(predictor, dim=None, kind="predictor") for predictor in found]


def cached_repositories() -> "list[tuple[CachedRepoInfo, Path]]":
    """Repositories of CATE in the cache of huggingface_hub, by name, each with the folder of its latest revision."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = sorted(scan_cache_dir().repos, key=lambda repo: repo.repo_id)
    except (CacheNotFound, OSError):
        return []
    latest = [
        (repo, max(repo.revisions, key=lambda revision: revision.last_modified).snapshot_path)
        for repo in repositories
        if repo.repo_type == "model" and repo.revisions
    ]
    return [(repo, path) for repo, path in latest if _model_type(path) == "cate"]


def _model_type(folder: Path) -> str | None:
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("model_type") if isinstance(content, dict) else None


def _describe(name: str, folder: Path, where: str) -> KnownEncoder:
    try:
        checked = check_checkpoint_folder(folder)
    except CheckpointError as error:
        return KnownEncoder(name, f"{where} (damaged: {error})")
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
    config = checked.config
    return KnownEncoder(name, where, config.space, config.encoding_size, checked.parameters, size, _tau(folder))


def _tau(folder: Path) -> dict[int, float] | None:
    """The first encoding's τ in the card's facts, or in the metadata of a card without them."""
    from huggingface_hub import ModelCard

    from cate_hf.publishing.card_files import CARD, read_facts

    try:
        if (folder / CARD_FACTS).is_file():
            taus = read_facts(folder).get("kendall_tau") or {}
            return next(iter(taus.values()), None)
        results = ModelCard((folder / CARD).read_text(encoding="utf-8")).data.eval_results or ()
        by_name = {r.metric_name: r.metric_value for r in results if r.metric_type == "kendall_tau"}
        return {int(name.split()[-3]): float(value) for name, value in by_name.items()} or None
    except Exception:  # a card of whatever form
        return None


def known_folder(name: str) -> Path:
    """Return the folder of an encoder or a predictor by name: bundled, a path, or downloaded from the Hub.

    Raises:
        ValueError: there is none, or it cannot be downloaded.
    """
    return predictor_path(name) if name in predictor_names() and not Path(name).exists() else resolve_checkpoint(name)
