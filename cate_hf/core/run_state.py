"""Resumable state of a run: folders `step-N` written under another name and renamed, the last two kept."""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

KEPT = 2
_PROGRESS = "progress.json"


def save_state(root: Path, step: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer, settings: dict) -> Path:
    """Write weights and optimiser moments after `step` steps. No random state: each step seeds its own.

    Raises:
        OSError: it cannot be written; earlier states are as they were.
    """
    return write_state(root, step, model, moments_of(optimizer), settings)


def write_state(
    root: Path, step: int, model: torch.nn.Module, moments: dict[str, torch.Tensor], settings: dict
) -> Path:
    """As `save_state`, with moments that were gathered from several processes."""
    folder, temporary = root / f"step-{step:08d}", root / f".step-{step:08d}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        save_file({k: v.contiguous() for k, v in _unshared(model).items()}, temporary / "model.safetensors")
        save_file(moments, temporary / "optimizer.safetensors")
        (temporary / _PROGRESS).write_text(json.dumps({"step": step, "settings": settings}, indent=2) + "\n")
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
            progress = json.loads((folder / _PROGRESS).read_text())
            if isinstance(progress["step"], int) and isinstance(progress["settings"], dict):
                return folder, progress
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def load_state(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights and moments back.

    Raises:
        ValueError: a file is damaged or belongs to another model.
    """
    put_moments(optimizer, read_state(folder, model))


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What an optimiser knows of each parameter: tensors called INDEX.NAME, by its place in the parameter groups."""
    return {
        f"{index}.{name}": torch.as_tensor(value).clone()
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def put_moments(optimizer: torch.optim.Optimizer, moments: dict[str, torch.Tensor]) -> None:
    """Put back what `moments_of` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def read_state(folder: Path, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Put the weights back, and return the moments.

    Raises:
        ValueError: as `load_state`.
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
    return moments


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
