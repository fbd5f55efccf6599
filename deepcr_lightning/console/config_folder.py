"""Where the configs are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def config_folder() -> Path:
    """Find the folder of the YAML files that the commands compose.

    Returns
    -------
    Path
        ``configs`` inside the installed package, where the wheel puts it, or at the top of the checkout.
    """
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"
