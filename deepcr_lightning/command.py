"""What every script does around its work: errors in one line, a quiet console, the right precision."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deepcr_lightning.allocator import keep_freed_memory
from deepcr_lightning.arguments import fail
from deepcr_lightning.console.run_folder import discard
from deepcr_lightning.errors import InputError

# Advice about loaders and devices that the person cannot act on.
_QUIET = (
    "does not have many workers",
    "number of training batches",
    "treespec, LeafSpec",
    "File may have been truncated",
    "Error validating header for HDU",
    "Verification reported errors",
    "not FITS standard",
    "uses zero-based indexing",
    "Checkpoint directory .* exists and is not empty",
    "GPU available but not used",
    "`srun` command is available",
    "your dataloader is not resumable",
)


MENDABLE = (InputError, OmegaConfBaseException, InstantiationException, MisconfigurationException)
"""What the person can mend; all else is a defect, or the machine's."""


@contextmanager
def command(cfg: DictConfig) -> Iterator[None]:
    """Run the work of a script: what the person can mend ends in one line and exit status 1.

    Parameters
    ----------
    cfg : DictConfig
        ``debug`` set keeps the traceback; ``keep_freed_memory`` false leaves the allocator alone.
    """
    prepare(cfg)
    try:
        yield
    except MENDABLE as error:
        if cfg.get("debug"):
            raise
        if HydraConfig.initialized():
            discard(Path(HydraConfig.get().runtime.output_dir))
        fail(in_a_line(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def prepare(cfg: DictConfig) -> None:
    """Quiet the console and set the allocator, as `command` says."""
    for message in _QUIET:
        warnings.filterwarnings("ignore", f".*{message}.*")
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        logging.getLogger().setLevel(logging.WARNING)  # of many processes one speaks
    if cfg.keep_freed_memory and not uses_gpu(cfg):
        keep_freed_memory()
    if cfg.get("debug"):
        os.environ["HYDRA_FULL_ERROR"] = "1"


def in_a_line(error: Exception) -> str:
    """Say what the person is to mend, for an error of `MENDABLE`."""
    # Hydra wraps what a constructor raises: a value of the wrong kind is the person's to mend, too.
    cause = error.__cause__ or error if isinstance(error, InstantiationException) else error
    return str(cause) if isinstance(cause, InputError) else str(cause).strip().splitlines()[0]


def uses_gpu(cfg: DictConfig) -> bool:
    """Whether the trainer of a config will run on a CUDA device."""
    return cfg.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def choose_device(cfg: DictConfig) -> None:
    """Fill in what the trainer leaves open: CUDA or the CPU, and bf16, fp16 or full precision with it.

    Raises
    ------
    InputError
        If it asks for GPUs that are not there.
    """
    wanted, there = cfg.trainer.devices, torch.cuda.device_count()
    if cfg.trainer.accelerator in ("gpu", "cuda"):
        if not there:
            raise InputError("trainer.accelerator=gpu: there is no GPU here; leave it out, or set trainer=cpu")
        if isinstance(wanted, int) and wanted > there:
            raise InputError(f"trainer.devices={wanted}: there are {there} GPUs here")
    if cfg.trainer.accelerator == "auto":
        OmegaConf.update(cfg, "trainer.accelerator", "gpu" if torch.cuda.is_available() else "cpu")
    if cfg.trainer.precision is None:
        half = "bf16-mixed" if uses_gpu(cfg) and torch.cuda.is_bf16_supported() else "16-mixed"
        OmegaConf.update(cfg, "trainer.precision", half if uses_gpu(cfg) else "32-true")
