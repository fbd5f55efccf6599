"""Collect a sweep again: python -m deepcr_lightning.sweeps outputs/sweep/<date>_<time>."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.console.printable import printable
from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps.collect import collect
from deepcr_lightning.sweeps.grid import sweep_config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        The process's own by default.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m deepcr_lightning.sweeps",
        description="Write table and figure of a sweep that was killed, or whose jobs ended after it.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="hydra.sweep.dir of the sweep")
    folder = parser.parse_args(arguments).folder.expanduser()
    try:
        collect(folder, sweep_config(folder))
    except InputError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
