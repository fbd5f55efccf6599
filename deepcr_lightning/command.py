"""What every script does around its work: errors in one line, a quiet console, the right precision."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deepcr_lightning.allocator import keep_freed_memory
from deepcr_lightning.errors import InputError

# Advice about loaders and devices that the person cannot act on.
_QUIET = (
    "does not have many workers",
    "File may have been truncated",
    "Checkpoint directory .* exists and is not empty",
    "GPU available but not used",
)


@contextmanager
def command(cfg: DictConfig) -> Iterator[None]:
    """Run the work of a script: what the person can mend ends in one line and exit status 1.

    Parameters
    ----------
    cfg : DictConfig
        ``debug`` set keeps the traceback; ``keep_freed_memory`` false leaves the allocator alone.
    """
    for message in _QUIET:
        warnings.filterwarnings("ignore", f".*{message}.*")
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if cfg.keep_freed_memory and not uses_gpu(cfg):
        keep_freed_memory()
    try:
        yield
    except (InputError, OmegaConfBaseException) as error:
        if cfg.get("debug"):
            raise
        fail(str(error).splitlines()[0] if isinstance(error, OmegaConfBaseException) else str(error))


def fail(message: str) -> None:
    """Print a message and exit with status 1."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1)


def uses_gpu(cfg: DictConfig) -> bool:
    """Whether the trainer of a config will run on a CUDA device."""
    return cfg.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def choose_precision(cfg: DictConfig) -> None:
    """Fill in ``trainer.precision`` where it is null: bf16 or fp16 on a GPU, full on the CPU."""
    if cfg.trainer.precision is None:
        half = "bf16-mixed" if uses_gpu(cfg) and torch.cuda.is_bf16_supported() else "16-mixed"
        OmegaConf.update(cfg, "trainer.precision", half if uses_gpu(cfg) else "32-true")
