"""What is known of one architecture: as values, and in words for tables that people read."""

from typing import Any

from cate_hf.spaces.base import Space

__all__ = ["facts", "in_words"]

_COST_NAMES = {"flops": "FLOPs"}


def facts(architecture: Any, space: Space | None) -> dict[str, Any]:
    """What is known of an architecture, or of a pair of cells, by name."""
    if space is None:
        return {"hash": architecture.hash()}
    known: dict[str, Any] = {"space": space.name, "hash": space.hash(architecture)}
    for name in space.cost_names:
        if hasattr(architecture, "operations"):
            known[name] = space.costs(space.table([architecture]), name)[0].item()
        else:
            known[name] = getattr(space, name)(architecture)
    if native := space.native(architecture):
        known["notation"] = native
    return known


def in_words(known: dict[str, Any]) -> dict[str, str]:
    """Those of `facts` as text."""
    texts = {_COST_NAMES.get(k, k): value if isinstance(value, str) else f"{value:,}" for k, value in known.items()}
    if "space" not in known:
        texts["hash"] += " (by the names of its operations; a space has its own)"
    return texts
