"""Command line: ``python -m deepcr_lightning.simulation OUT``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from deepcr_lightning.console.counts import counted
from deepcr_lightning.console.printable import printable
from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation.cameras import CAMERAS
from deepcr_lightning.simulation.conditions import USUAL
from deepcr_lightning.simulation.filters import FILTERS
from deepcr_lightning.simulation.plan import DITHERS, FULL_CHIP
from deepcr_lightning.simulation.simulated_set import simulate_set
from deepcr_lightning.simulation.stars import DEFAULT_FIELDS, FIELDS


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
    started = time.monotonic()
    try:
        paths = simulate_set(
            options.out,
            filters=options.filters,
            exposures=options.exposures,
            darks=options.darks,
            size=tuple(options.size),
            chips=options.chips,
            fields=options.fields,
            exposure_times=tuple(options.exposure_times),
            dark_time=options.dark_time,
            seed=options.seed,
            dithers=options.dithers,
            conditions=options.camera or USUAL,
            progress=not options.quiet,
        )
    except InputError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    science = sum(path.parent.name == "science" for path in paths)
    print(
        f"{options.out}: {counted(science, 'science exposure')} ({' '.join(options.filters)}) and "
        f"{counted(len(paths) - science, 'dark')} of {options.chips} x {options.size[0]} x "
        f"{options.size[1]} pixels, with truth and stars, in {time.monotonic() - started:.0f} s"
    )
    return 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="deepcr-lightning simulate",
        description="Write simulated exposures, of an ideal WFC3/UVIS unless --camera names another: OUT/science and "
        "OUT/darks (_flc), OUT/truth (cosmic-ray masks and charge) and OUT/stars (star lists).",
        epilog="An interrupted run resumes where it stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument(
        "out", metavar="OUT", type=os.path.expanduser, help="folder to write, new or of the same settings"
    )
    made.add_argument(
        "--filters",
        nargs="+",
        default=["F336W", "F814W"],
        metavar="FILTER",
        help=f"filters of the science exposures, out of {' '.join(FILTERS)}",
    )
    made.add_argument("--exposures", type=int, default=8, metavar="N", help="science exposures per filter")
    made.add_argument(
        "--dithers",
        type=int,
        default=DITHERS,
        metavar="N",
        help="exposures of each visit in each filter, of one field at sub-pixel offsets",
    )
    made.add_argument("--darks", type=int, default=6, metavar="N", help="number of darks")
    made.add_argument(
        "--size",
        nargs=2,
        type=int,
        default=list(FULL_CHIP),
        metavar=("H", "W"),
        help="rows and columns of a chip; smaller than the default makes subarrays",
    )
    made.add_argument("--chips", type=int, choices=(1, 2), default=2, help="chips per exposure")
    made.add_argument(
        "--fields",
        nargs="+",
        default=list(DEFAULT_FIELDS),
        metavar="FIELD",
        help=f"field types of the visits in turn, out of {' '.join(FIELDS)}",
    )
    made.add_argument(
        "--exposure-times",
        nargs=2,
        type=float,
        default=[350.0, 1300.0],
        metavar=("MIN", "MAX"),
        help="range of the science exposure times in s",
    )
    made.add_argument("--dark-time", type=float, default=900.0, metavar="S", help="exposure time of darks in s")
    made.add_argument(
        "--camera",
        choices=CAMERAS,
        metavar="CAMERA",
        help="camera instead of an ideal WFC3/UVIS: its silicon, pixels and electronics, with stars, focus or seeing, "
        f"sky and guiding that differ from visit to visit and filter to filter; out of {' '.join(CAMERAS)}",
    )
    made.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    made.add_argument("--quiet", action="store_true", help="show no progress bar")
    return made


if __name__ == "__main__":
    sys.exit(main())
