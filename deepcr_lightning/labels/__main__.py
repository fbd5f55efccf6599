"""Command line: ``python -m deepcr_lightning.labels INPUT OUT``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.console.counts import counted
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.labels.write import write_labels


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error, of which one line stands on stderr.
    """
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        files = list(find_exposures("INPUT", options.input))
        written = write_labels(Path(options.out), files, options.groups, progress=not options.quiet)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: labels of {len(written)} of {counted(len(files), 'exposure')}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="deepcr-lightning label",
        description="Find the cosmic rays of exposures by comparing those of one visit and filter with each other; "
        "write OUT/<root>_truth.fits (CRTRUTH, IGNORE and CRCHARGE a chip).",
    )
    made.add_argument("input", nargs="+", metavar="INPUT", help="directories, files or quoted globs")
    made.add_argument("out", metavar="OUT", help="folder of the truth files; those that stand there are replaced")
    made.add_argument(
        "--groups", type=Path, metavar="TABLE", help="text file: a file name and the name of its group a line"
    )
    made.add_argument("--quiet", action="store_true", help="show no progress bar")
    return made


if __name__ == "__main__":
    sys.exit(main())
