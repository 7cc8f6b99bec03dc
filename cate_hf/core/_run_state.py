"""Resumable state of a run: folders `step-N` written under another name and renamed, the last two kept."""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

__all__ = ["latest_state", "load_state", "save_state", "state_to_resume"]

KEPT = 2
_PROGRESS = "progress.json"


def save_state(root: Path, step: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer, settings: dict) -> Path:
    """Write weights and optimiser moments after `step` steps. No random state: each step seeds its own.

    Raises:
        OSError: it cannot be written; earlier states are as they were.
    """
    folder, temporary = root / f"step-{step:08d}", root / f".step-{step:08d}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        save_file({k: v.contiguous() for k, v in _unshared(model).items()}, temporary / "model.safetensors")
        save_file(_moments_of(optimizer), temporary / "optimizer.safetensors")
        (temporary / _PROGRESS).write_text(
            json.dumps({"step": step, "settings": settings}, indent=2) + "\n", encoding="utf-8"
        )
        for file in temporary.iterdir():
            _flush(file)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        _flush(root)
    except SafetensorError as error:
        raise OSError(f"{folder}: cannot be written ({error})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in _folders(root)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _flush(path: Path) -> None:
    """See to it that what was written outlives the machine; some file systems report a full disk only here."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def latest_state(root: Path) -> tuple[Path, dict] | None:
    """The newest complete state and its progress; one that cannot be read is passed over."""
    for folder in reversed(_folders(root)):
        try:
            progress = json.loads((folder / _PROGRESS).read_text(encoding="utf-8"))
            if isinstance(progress["step"], int) and isinstance(progress["settings"], dict):
                return folder, progress
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def state_to_resume(root: Path, settings: dict) -> tuple[Path, dict]:
    """Return the newest state of a run with these settings, and its progress: `step` and `settings`.

    Args:
        settings: what decides the weights, as `save_state` was given it.

    Raises:
        ValueError: there is no state, or it is of another run; the first difference is named.
    """
    found = latest_state(root)
    if found is None:
        raise ValueError(f"{root}: nothing to resume there")
    folder, progress = found
    theirs = progress["settings"]
    for name, mine in json.loads(json.dumps(settings)).items():
        if theirs.get(name) != mine:
            raise ValueError(
                f"{folder} is of another run: {name} is {mine!r} here and {theirs.get(name)!r} there; "
                "resume with the same settings"
            )
    return folder, progress


def load_state(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights and moments back.

    Raises:
        ValueError: a file is damaged or belongs to another model.
    """
    try:
        weights, moments = load_file(folder / "model.safetensors"), load_file(folder / "optimizer.safetensors")
        missing, unexpected = model.load_state_dict(weights, strict=False)
        if unexpected or set(missing) & set(_unshared(model)):
            raise ValueError("its weights are those of another model")
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{folder}: cannot resume from it: {error}; without it, the state before is resumed"
        ) from error
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _moments_of(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's tensors of each parameter, called INDEX.NAME by its place in the parameter groups."""
    return {
        f"{index}.{name}": torch.as_tensor(value).clone()
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def _unshared(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state dict without second names of tied weights, which safetensors refuses."""
    seen: set[int] = set()
    tensors = {}
    for name, value in model.state_dict().items():
        if value.data_ptr() not in seen:
            seen.add(value.data_ptr())
            tensors[name] = value
    return tensors


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.glob("step-*") if p.is_dir() and p.name[5:].isdigit())
