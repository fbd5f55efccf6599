"""What every script does around its work: errors in one line, a quiet console, freed memory kept."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from deepcr_lightning.console.allocator import keep_freed_memory
from deepcr_lightning.console.arguments import fail
from deepcr_lightning.console.device import uses_gpu
from deepcr_lightning.console.hydra_errors import OF_DISKS
from deepcr_lightning.console.printable import printable
from deepcr_lightning.console.run_folder import discard
from deepcr_lightning.errors import InputError

# Advice about loaders and devices that the user cannot act on.
_QUIET = (
    "does not have many workers",
    "number of training batches",
    "treespec, LeafSpec",
    "File may have been truncated",
    "Error validating header for HDU",
    "Verification reported errors",
    "not FITS standard",
    "to meet the FITS standard",
    "Card is too long, comment will be truncated",
    "uses zero-based indexing",
    "Checkpoint directory .* exists and is not empty",
    "GPU available but not used",
    "`srun` command is available",
    "your dataloader is not resumable",
)

_NO_OPTION = re.compile(r"unexpected keyword argument '(\w+)'")

MENDABLE = (InputError, OmegaConfBaseException, InstantiationException, MisconfigurationException)
"""Errors that the user can correct; all others are defects of this package or of the machine."""


@contextmanager
def command(cfg: DictConfig) -> Iterator[None]:
    """Run the work of a script: errors that the user can correct end in one line and exit status 1.

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
    except OSError as error:
        if cfg.get("debug") or error.errno not in OF_DISKS:
            raise
        fail(f"{error.filename or 'the disk'}: {error.strerror}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def prepare(cfg: DictConfig) -> None:
    """Quiet the console and set the allocator, as `command` says."""
    for message in _QUIET:
        warnings.filterwarnings("ignore", f".*{message}.*")
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_print)
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        logging.getLogger().setLevel(logging.WARNING)  # of many processes one speaks
    if cfg.get("keep_freed_memory") and not uses_gpu(cfg):
        keep_freed_memory()
    if cfg.get("debug"):
        os.environ["HYDRA_FULL_ERROR"] = "1"


def _print(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), ()
    return True


def in_a_line(error: Exception) -> str:
    """Write an error of `MENDABLE` in one line."""
    unknown = _NO_OPTION.search(str(error))
    if isinstance(error, InstantiationException) and unknown:
        place = str(error).rpartition("full_key: ")[2].strip()
        return f"{place}.{unknown[1]}: no such option; see --help for the options"
    # Hydra wraps what a constructor raises: a value of the wrong kind can be corrected, too.
    cause = error.__cause__ or error if isinstance(error, InstantiationException) else error
    return str(cause) if isinstance(cause, InputError) else str(cause).strip().splitlines()[0]
