"""Say how good a network is: python evaluate.py ckpt_path=.../best.ckpt input=DIR truth=DIR or darks=DIR."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from deepcr_lightning.console.arguments import with_arguments


@hydra.main(version_base="1.3", config_path="configs", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Score exposures, and write the report."""
    # PyTorch takes seconds to import: --help and a mistyped option do not wait for it.
    from deepcr_lightning.commands.evaluate import evaluate
    from deepcr_lightning.console.command import command

    with command(cfg):
        evaluate(cfg)


if __name__ == "__main__":
    with_arguments(main, Path(__file__).parent / "configs" / "evaluate.yaml")
