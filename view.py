"""Look at exposures and mend their masks in the browser: python view.py input=FILE_OR_DIR."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from deepcr_lightning.console.arguments import with_arguments


@hydra.main(version_base="1.3", config_path="configs", config_name="view")
def main(cfg: DictConfig) -> None:
    """Serve the page until the user stops it."""
    # PyTorch takes seconds to import: --help and a mistyped option do not wait for it.
    from deepcr_lightning.commands.view import view
    from deepcr_lightning.console.command import command

    with command(cfg):
        view(cfg)


if __name__ == "__main__":
    with_arguments(main, Path(__file__).parent / "configs" / "view.yaml")
