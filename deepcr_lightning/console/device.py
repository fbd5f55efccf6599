"""Where a command runs, and with which precision."""

from __future__ import annotations

import torch
from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.errors import InputError

PRECISIONS = (
    *("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"),
    *("32", "16", "bf16", "64"),
)
"""What ``trainer.precision=`` may be: the precisions of Lightning that every machine has, and their short names."""


def uses_gpu(cfg: DictConfig) -> bool:
    """Whether the trainer of a config will run on a CUDA device."""
    return cfg.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def choose_device(cfg: DictConfig, half: bool = True) -> None:
    """Fill in what the trainer leaves open: CUDA or the CPU, and bf16, fp16 or full precision with it.

    Parameters
    ----------
    cfg : DictConfig
        Changed in place.
    half : bool
        Whether a GPU is to work in half precision. In bf16 a mask differs in 5 of 100,000 pixels from one in single
        precision, and in TF32, in which PyTorch does the convolutions of single precision on a GPU, in less than one
        (docs/studies/performance.md).

    Raises
    ------
    InputError
        If it asks for GPUs that are not there, or for a precision that Lightning does not know.
    """
    if cfg.trainer.precision is not None and str(cfg.trainer.precision) not in PRECISIONS:
        raise InputError(f"trainer.precision={cfg.trainer.precision}: choose from {', '.join(PRECISIONS[:6])}")
    wanted, there = cfg.trainer.devices, torch.cuda.device_count()
    if cfg.trainer.accelerator in ("gpu", "cuda"):
        if not there:
            raise InputError("trainer.accelerator=gpu: there is no GPU here; leave it out, or set trainer=cpu")
        if isinstance(wanted, int) and wanted > there:
            raise InputError(f"trainer.devices={wanted}: there are {there} GPUs here")
    if cfg.trainer.accelerator == "auto":
        OmegaConf.update(cfg, "trainer.accelerator", "gpu" if torch.cuda.is_available() else "cpu")
    if cfg.trainer.precision is None:
        precision = "32-true"
        if half and uses_gpu(cfg):
            precision = "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
        OmegaConf.update(cfg, "trainer.precision", precision)


def refuse_half(cfg: DictConfig) -> None:
    """Refuse ``trainer.precision=`` for a command that maps in single precision whatever it says.

    Raises
    ------
    InputError
        If it names another than 32-true.
    """
    if str(cfg.trainer.precision) not in ("None", "32-true", "32"):
        raise InputError(
            f"trainer.precision={cfg.trainer.precision}: only train and predict take it; this command maps in 32-true"
        )
