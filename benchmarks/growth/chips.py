"""Time and memory against the size of a chip: the call on an array, and predict.py on a file.

    python benchmarks/growth/chips.py [--largest 12000] [--figure PNG] [--json FILE]

One square chip of noise with bright streaks, cleaned with the model of the package. The times are those of the
processor from a process that has only imported what is needed: loading the model, reading and writing are in them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from curves import Curve, Panel, finish, options
from measured import Taken, measure, up_to
from scripts_in_forks import warm_up
from works import cleaning

SIDES = (512, 1024, 2048, 4096, 8192, 12_000)
STREAKS = 1e-4
"""Bright streaks a pixel."""


def main(arguments: list[str] | None = None) -> None:
    """Measure both ways at each size."""
    chosen = options(__doc__, SIDES[-1]).parse_args(arguments)
    warm_up()
    pixels, taken = [], dict[str, list[Taken]]()
    for side in up_to(chosen.largest, SIDES):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_chip(folder, side)
            for way, work in WAYS.items():
                taken.setdefault(way, []).append(measure(work(folder), folder))
                print(f"{way}, {side} x {side}: {taken[way][-1]}")
        pixels.append(side**2 / 1e6)
    seconds = [Curve(way, "s", pixels, [one.seconds for one in values]) for way, values in taken.items()]
    memory = [Curve(way, "GB", pixels, [one.memory / 1e9 for one in values]) for way, values in taken.items()]
    rows = [Curve(f"{of.name}, {what}", of.unit, of.sizes, of.values) for what, curves in
            (("time", seconds), ("memory", memory)) for of in curves]  # fmt: skip
    across = "millions of pixels"
    finish(chosen, rows, [Panel(across, "seconds of a core", seconds), Panel(across, "memory, GB", memory)])


def write_chip(folder: Path, side: int) -> None:
    """Write a chip as a FITS file and as an array, some rows at a time."""
    rng = np.random.default_rng(1)
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", side), ("NAXIS2", side)])
    header.update({"BUNIT": "ELECTRONS", "EXPTIME": 60.0})
    array = np.lib.format.open_memmap(folder / "chip.npy", "w+", np.float32, (side, side))
    with fits.StreamingHDU(folder / "chip.fits", header) as file:
        for first in range(0, side, 512):
            rows = 30 + 5 * rng.standard_normal((min(512, side - first), side), np.float32)
            for _ in range(int(STREAKS * rows.size)):
                y, x = int(rng.integers(0, len(rows))), int(rng.integers(0, side - 6))
                rows[y, x : x + 5] += rng.uniform(200, 3000)
            array[first : first + len(rows)] = rows
            file.write(rows)
    array.flush()


def array_call(folder: Path) -> Callable[[], object]:
    """Make the work of `find_cosmic_rays` on the array."""

    def work() -> None:
        import deepcr_lightning

        mask = deepcr_lightning.load_model().find_cosmic_rays(np.load(folder / "chip.npy"))
        print(mask.mean())

    return work


WAYS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "array call": array_call,
    "predict": lambda folder: partial(cleaning(folder / "chip.fits", folder / "out")),
}


if __name__ == "__main__":
    main()
