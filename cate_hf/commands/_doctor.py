"""`cate doctor`: what is installed, what is in force, and what is missing for what."""

import importlib.metadata
import os
import platform
import re
from typing import Any

from cate_hf.commands._listing import print_json
from cate_hf.commands._options import Json

EXTRAS = {
    "graphs": "architectures from ONNX files and networkx graphs",
    "nb101": "NAS-Bench-101's published .tfrecord files, without TensorFlow",
    "nasbench-graph": "the space and benchmark nasbench-graph",
    "nb301": "NAS-Bench-301's ONNX surrogate and official ensembles",
    "onnx": 'encoders as ONNX files: load_encoder(..., backend="onnx")',
    "optuna": "Optuna studies that search architectures",
    "ray": "cate compare --backend ray: trials on a cluster",
    "tensorboard": "pre-training with --log-with tensorboard",
    "umap": "cate evaluate --map umap",
    "wandb": "pre-training with --log-with wandb",
    "dev": "the tests and linters of this repository",
    "app": "cate app: the package in a browser",
    "docs": "building this package's site: make docs",
}
"""Extra -> what it is for."""
_PACKAGES = "numpy torch transformers accelerate datasets huggingface-hub numba scikit-learn pyarrow matplotlib".split()


def doctor(json: Json = False) -> None:
    """Say what is installed and in force: versions, threads, precision, cache, network, and what extras are missing.

    Nothing is changed, and no network is touched.

    Examples:

      cate doctor

      cate doctor --json
    """
    found = facts()
    print_json(found) if json else _print(found)


def facts() -> dict[str, Any]:
    """What `cate doctor` shows, by name."""
    import torch
    from huggingface_hub import constants

    from cate_hf import __version__
    from cate_hf.core._parallel import available_processors, num_threads
    from cate_hf.core._precision import has_bfloat16
    from cate_hf.graphs._cache import cache_folder
    from cate_hf.hub._registry import namespace
    from cate_hf.publishing.cache import cache_entries

    entries = cache_entries()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cate_hf": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "processors": available_processors(),
        "threads": num_threads(),
        "gpu": gpu,
        "bfloat16": has_bfloat16("cpu" if gpu is None else "cuda"),
        "cache": {"folder": str(cache_folder()), "entries": len(entries), "bytes": sum(e.bytes for e in entries)},
        "hub": {
            "cache": constants.HF_HUB_CACHE,
            "endpoint": constants.ENDPOINT,
            "offline": constants.HF_HUB_OFFLINE,
            "namespace": namespace(),
        },
        "variables": {name: os.environ[name] for name in sorted(os.environ) if name.startswith("CATE_")},
        "extras": {name: {"for": EXTRAS.get(name, ""), "missing": m} for name, m in missing_packages().items()},
    }


def missing_packages() -> dict[str, list[str]]:
    """Extra -> its packages that are not installed."""
    found: dict[str, list[str]] = {
        name: [] for name in importlib.metadata.metadata("cate_hf").get_all("Provides-Extra") or ()
    }
    for requirement in importlib.metadata.requires("cate_hf") or ():
        extra = re.search(r"""extra == ["']([\w-]+)["']""", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name and _version(name[0]) is None:
            found[extra[1]].append(name[0])
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.width = max(console.width, 100)
    view = Table.grid(padding=(0, 2))
    packages = ", ".join(f"{name} {version or 'missing'}" for name, version in found["packages"].items())
    cache, hub = found["cache"], found["hub"]
    rows = {
        "versions": f"cate_hf {found['cate_hf']}, Python {found['python']}, {packages}",
        "system": found["system"],
        "threads": f"{found['threads']} of {found['processors']} processors; CATE_HF_THREADS sets them",
        "device": found["gpu"] or "CPU; no GPU was found",
        "bfloat16": "native" if found["bfloat16"] else "not native here: --precision bfloat16 computes in float32",
        "cache": f"{cache['folder']} and the Hub's: {cache['entries']} entries, {cache['bytes'] / 1e6:,.1f} MB",
        "Hub": f"{hub['endpoint']}, cache {hub['cache']}",
        "network": "off (HF_HUB_OFFLINE)" if hub["offline"] else "on; only names of repositories need it",
    }
    for name, text in rows.items():
        view.add_row(Text(name), Text(text))
    console.print(view)
    extras = Table(
        "extra", "what it is for", "state", title="Extras: pip install 'cate_hf[EXTRA]'", title_justify="left"
    )
    for name, extra in found["extras"].items():
        extras.add_row(
            name, extra["for"], "missing: " + ", ".join(extra["missing"]) if extra["missing"] else "installed"
        )
    console.print(extras)
