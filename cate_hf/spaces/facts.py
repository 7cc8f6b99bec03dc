"""What is known of one architecture, in words: for tables that people read."""

from typing import Any

from cate_hf.spaces.base import Space

__all__ = ["facts"]

_COST_NAMES = {"flops": "FLOPs"}


def facts(architecture: Any, space: Space | None) -> dict[str, str]:
    """What is known of an architecture, or of a pair of cells, by name, as text."""
    if space is None:
        return {"hash": f"{architecture.hash()} (by the names of its operations; a space has its own)"}
    known = {"space": space.name, "hash": space.hash(architecture)}
    for name in space.cost_names:
        if hasattr(architecture, "operations"):
            cost = space.costs(space.table([architecture]), name)[0].item()
        else:
            cost = getattr(space, name)(architecture)
        known[_COST_NAMES.get(name, name)] = f"{cost:,}"
    if native := space.native(architecture):
        known["notation"] = native
    return known
