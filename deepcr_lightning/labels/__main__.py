"""Command line: ``python -m deepcr_lightning.labels INPUT OUT``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

from deepcr_lightning.console.counts import counted
from deepcr_lightning.console.printable import printable
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.paths import as_path, find_exposures
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.labels.write import write_labels

SETTINGS = {
    "units": "ELECTRONS, ELECTRONS/S, COUNTS or COUNTS/S; BUNIT by default",
    "gain": "electrons per count; that of the header by default",
    "exposure_time": "seconds; EXPTIME by default",
    "saturation": "saturation level in the unit of the files; by default SATURATE, where there is no DQ",
    "extensions": "names or numbers of the extensions to read, separated by commas; all chips by default",
    "trim": "true to exclude the overscan, as given by DATASEC, TRIMSEC or BIASSEC",
}
"""How the files are read, as in the other commands: written as ``--gain VALUE`` or as ``gain=VALUE``."""


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
    typed = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args([f"--{text}" if text.partition("=")[0] in SETTINGS else text for text in typed])
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        settings = _settings(vars(options))
        files = list(find_exposures("INPUT", options.input))
        written = write_labels(as_path(options.out), files, options.groups, settings, progress=not options.quiet)
    except InputError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    print(f"{options.out}: labels of {len(written)} of {counted(len(files), 'exposure')}")
    return 0


def _settings(given: dict[str, Any]) -> ReadSettings:
    known = {"true": True, "false": False}
    trim = str(given["trim"] or False).lower()
    extensions = None if given["extensions"] is None else [name.strip() for name in given["extensions"].split(",")]
    return ReadSettings.of(given | {"extensions": extensions, "trim": known.get(trim, given["trim"])})


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="deepcr-lightning label",
        description="Find the cosmic rays of exposures by comparing those of one visit and filter with each other; "
        "write OUT/<root>_truth.fits (CRTRUTH, IGNORE and CRCHARGE a chip).",
    )
    made.add_argument("input", nargs="+", metavar="INPUT", help="directories, files or quoted globs")
    made.add_argument("out", metavar="OUT", help="folder of the truth files; existing ones are replaced")
    made.add_argument(
        "--groups",
        type=as_path,
        metavar="TABLE",
        help="text file with one file name and the name of its group per line",
    )
    for name, meaning in SETTINGS.items():
        made.add_argument(f"--{name}", metavar="VALUE", help=meaning)
    made.add_argument("--quiet", action="store_true", help="show no progress bar")
    return made


if __name__ == "__main__":
    sys.exit(main())
