"""Train a cosmic-ray network without labels: python train.py experiment=f336w data.science=... data.darks=..."""

from __future__ import annotations

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from deepcr_lightning.console.arguments import fail, fine_tuning_overrides, quoted_addresses, resume_overrides
from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps.launchers import require_launcher


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Train, by itself or as a job of a sweep."""
    # PyTorch takes seconds to import: --help and a mistyped option do not wait for it.
    from deepcr_lightning.commands.train import train
    from deepcr_lightning.console.command import command
    from deepcr_lightning.sweeps.job import run_job

    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return run_job(train, cfg)
    with command(cfg):
        train(cfg)
    return None


if __name__ == "__main__":
    try:
        sys.argv[1:] = resume_overrides(fine_tuning_overrides(quoted_addresses(sys.argv[1:])))
        require_launcher(sys.argv[1:])
    except InputError as error:
        fail(str(error))
    main()
