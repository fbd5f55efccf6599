"""All that is needed to repeat a run, in one file of its folder."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

import deepcr_lightning
from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.batches.inventory import take_inventory
from deepcr_lightning.errors import InputError
from deepcr_lightning.training.module import CosmicRayModule

RECORD = "run.json"
_PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "numpy", "scipy", "astropy", "hydra-core")
_PATIENCE = 10.0


class RunRecord(pl.Callback):
    """Write ``run.json``, beside the config; tell the loggers and the checkpoints the same.

    Parameters
    ----------
    folder : str
        Folder of the run.
    overrides : sequence of str
        What train.py was started with. A run that is resumed keeps what was written before, under ``earlier``.
    started_from : mapping of str to str, optional
        ``name`` and ``sha256`` of the model that the run starts from (`training.initialise`).
    """

    def __init__(
        self, folder: str, overrides: Sequence[str] = (), started_from: Mapping[str, str] | None = None
    ) -> None:
        self.path, self.overrides, self.started_from = Path(folder) / RECORD, list(overrides), started_from

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write, once data and device are known."""
        assert isinstance(pl_module, CosmicRayModule)
        data = trainer.datamodule  # type: ignore[attr-defined]
        record: dict[str, Any] = {
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": shlex.join(["deepcr-lightning", "train", *self.overrides]),
            "versions": versions(),
            "git": git_state(),
            "device": _device(trainer),
            "data": _data(data) if isinstance(data, LabelFreeDataModule) else {},
        }
        if self.started_from is not None:
            record["started_from"] = dict(self.started_from)
        pl_module.run_record = record
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            logger.log_hyperparams({"run": record})
        earlier = read_record(self.path.parent)
        if earlier:
            record = {**record, "earlier": [*earlier.pop("earlier", []), earlier]}
        text = json.dumps(record, indent=2)
        write_atomically(self.path, lambda path: path.write_text(text))


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record of a run; empty where there is none.

    Parameters
    ----------
    folder : Path
        Folder of the run.

    Returns
    -------
    dict
        Plain values.

    Raises
    ------
    InputError
        If it is damaged.
    """
    path = folder / RECORD
    try:
        found = json.loads(path.read_text()) if path.is_file() else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("earlier", []), list):
        raise InputError(f"{path}: is not a record of a run; move it away, and resume again")
    return found


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of what the numbers come from."""
    found = {"deepcr-lightning": deepcr_lightning.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return {**found, "system": platform.platform()}


def git_state(folder: Path = Path(deepcr_lightning.__file__).parent) -> dict[str, Any] | None:
    """Find the commit that code is at.

    Parameters
    ----------
    folder : Path
        Folder of the code; this package by default.

    Returns
    -------
    dict or None
        ``commit``, and ``dirty``, whether tracked files differ from it; None where the code is in no checkout of
        its own, such as an installed package.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE).stdout.strip()

    try:
        # Code installed below somebody else's checkout is not part of it.
        if not git("ls-files", "__init__.py"):
            return None
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _device(trainer: pl.Trainer) -> dict[str, Any]:
    device = trainer.strategy.root_device
    on_gpu = device.type == "cuda"
    cores = f"{_processor()}, threads: {torch.get_num_threads()}"
    return {
        "name": torch.cuda.get_device_name(device) if on_gpu else cores,
        "count": trainer.world_size,
        "precision": str(trainer.precision),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _data(data: LabelFreeDataModule) -> dict[str, Any]:
    assert data.store is not None
    inventory = take_inventory(data.store, data.tiles, data.layers)
    return {"fingerprint": data.fingerprint, "store": data.store.folder.name, **inventory}
