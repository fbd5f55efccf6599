"""Train a cosmic-ray network without labels: python train.py experiment=f336w data.science=... data.darks=..."""

from __future__ import annotations

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from deepcr_lightning.console.arguments import fine_tuning_overrides, resume_overrides, with_arguments
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


def completed(arguments: list[str]) -> list[str]:
    """Complete the command line of a run that is fine-tuned or resumed."""
    arguments = resume_overrides(fine_tuning_overrides(arguments))
    require_launcher(arguments)
    return arguments


if __name__ == "__main__":
    with_arguments(main, Path(__file__).parent / "configs" / "train.yaml", completed)
