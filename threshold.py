"""Choose a threshold by the stars that come and go: python threshold.py input=DIR."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from deepcr_lightning.console.arguments import with_arguments


@hydra.main(version_base="1.3", config_path="configs", config_name="threshold")
def main(cfg: DictConfig) -> None:
    """Measure stars under masks of many thresholds, and recommend one."""
    # PyTorch takes seconds to import: --help and a mistyped option do not wait for it.
    from deepcr_lightning.commands.threshold import threshold
    from deepcr_lightning.console.command import command

    with command(cfg):
        threshold(cfg)


if __name__ == "__main__":
    with_arguments(main, Path(__file__).parent / "configs" / "threshold.yaml")
