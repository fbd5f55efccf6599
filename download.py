"""Fetch exposures and darks from the archive: python download.py proposal=16801 filter=F336W output_dir=DIR."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from deepcr_lightning.console.arguments import with_arguments


@hydra.main(version_base="1.3", config_path="configs", config_name="download")
def main(cfg: DictConfig) -> None:
    """Show what there is, ask, and download it."""
    # PyTorch takes seconds to import: --help and a mistyped option do not wait for it.
    from deepcr_lightning.commands.download import download
    from deepcr_lightning.console.command import command

    with command(cfg):
        download(cfg)


if __name__ == "__main__":
    with_arguments(main, Path(__file__).parent / "configs" / "download.yaml")
