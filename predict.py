"""Find the cosmic rays of exposures: python predict.py input=DIR output_dir=DIR."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from deepcr_lightning.console.arguments import with_arguments


@hydra.main(version_base="1.3", config_path="configs", config_name="predict")
def main(cfg: DictConfig) -> None:
    """Clean exposures, and report those that failed."""
    # PyTorch takes seconds to import: --help and a mistyped option do not wait for it.
    from deepcr_lightning.commands.predict import predict
    from deepcr_lightning.console.command import command

    with command(cfg):
        predict(cfg)


if __name__ == "__main__":
    with_arguments(main, Path(__file__).parent / "configs" / "predict.yaml")
