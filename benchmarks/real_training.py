"""Real stars and real CRs as training data: star fields of real images, and darks made of CR events of real ones.

usage: python benchmarks/real_training.py OUT [--data DATA] [--stars SET ...]

OUT/stars/science, /truth   the images of the sets that are named, in their own pixels; their CRs are known, and become
                            gaps in training
OUT/stars/darks             darks with real events for the cameras of these sets
OUT/rays/darks              darks with real events for the simulated cameras wfc3_uvis (events of WFC3/UVIS) and
                            deep_depletion (of a CCD of 100 um)

Events lie at random places, mirrored left to right (those of the thick CCD turned as well), their charge times 0.7 to
1.4, at the sub-pixel places that their pixels have; the noise of the darks is simulated.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray
from real_sky_sets import DATA

from deepcr_lightning.errors import InputError

STARS = ("decam_sfft", "stargate", "subaru")
"""Sets with stars whose images train, where none is named."""
UVIS, THICK = "uvis_2013fy27/cr_events.fits", "real/thick_ccd_events.fits"
_EVENTS = {"DECam": THICK, "Suprime-Cam": THICK}
_SIMULATED = {"wfc3_uvis": ("WFC3", "UVIS", UVIS), "deep_depletion": ("THICK", "CCD", THICK)}
_DARKS, _SIZE, _SECONDS, _NOISE = 8, 512, 900.0, 3.1
_SHARE = 0.02
"""Of the pixels of a dark, those that CRs touch, about."""
_CHARGE = (0.7, 1.4)


@dataclass(frozen=True, eq=False)
class Event:
    """The pixels of a CR: offsets from its first row and column, and electrons."""

    y: NDArray[np.int64]
    x: NDArray[np.int64]
    electrons: NDArray[np.float64]


def read_events(path: Path) -> list[Event]:
    """Read CR events, a pixel a row."""
    table = Table.read(path)
    y, x = (table[name] for name in (("dy", "dx") if "dy" in table.colnames else ("y", "x")))
    number, electrons = np.asarray(table["event"]), np.asarray(table["electrons"], float)
    events = []
    for one in np.unique(number):
        pixels = np.flatnonzero(number == one)
        rows, columns = (np.asarray(values[pixels], np.int64) for values in (y, x))
        events.append(Event(rows - rows.min(), columns - columns.min(), electrons[pixels]))
    return events


def real_dark(events: list[Event], turned: bool, rng: np.random.Generator) -> NDArray[np.float32]:
    """Make a dark of real events and simulated noise, in electrons."""
    dark, touched = rng.normal(0, _NOISE, (_SIZE, _SIZE)), 0
    while touched < _SHARE * dark.size:
        charge = np.exp(rng.uniform(*np.log(_CHARGE)))
        touched += put(dark, events[rng.integers(len(events))], charge, turned, rng)
    return dark.astype(np.float32)


def put(image: NDArray[np.float64], event: Event, charge: float, turned: bool, rng: np.random.Generator) -> int:
    """Add an event to an image, in place, wherever chance has it.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        In electrons.
    event : Event
    charge : float
        Factor on its electrons.
    turned : bool
        Whether it may lie in any of eight orientations, and not only be mirrored left to right.
    rng : Generator

    Returns
    -------
    int
        How many of its pixels lie in the image.
    """
    y, x = event.y, event.x if rng.random() < 0.5 else event.x.max() - event.x
    if turned:
        y, x = (y, x) if rng.random() < 0.5 else (x, y)
        y = y if rng.random() < 0.5 else y.max() - y
    rows, columns = image.shape
    y, x = y + rng.integers(-y.max(), rows), x + rng.integers(-x.max(), columns)
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    np.add.at(image, (y[inside], x[inside]), charge * event.electrons[inside])
    return int(inside.sum())


def write_darks(folder: Path, name: str, cards: dict[str, str], chip: int, events: Path, seed: int) -> None:
    """Write darks with events of one table, for a camera."""
    rng, known = np.random.default_rng(seed), read_events(events)
    folder.mkdir(parents=True, exist_ok=True)
    for nth in range(_DARKS):
        primary = fits.PrimaryHDU()
        primary.header.update(cards | {"IMAGETYP": "DARK", "EXPTIME": _SECONDS, "ROOTNAME": f"{name}{nth}"})
        science = fits.ImageHDU(real_dark(known, THICK.endswith(events.name), rng), name="SCI", ver=1)
        science.header.update({"BUNIT": "ELECTRONS", "CCDCHIP": chip})
        fits.HDUList([primary, science]).writeto(folder / f"{name}{nth}_flt.fits", overwrite=True)


def main() -> None:
    """Write both."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--data", type=Path, default=DATA, help="folder with real and uvis_2013fy27")
    options.add_argument("--stars", nargs="+", default=STARS, metavar="SET", help=" ".join(STARS) + " by default")
    chosen = options.parse_args()
    cameras: set[str] = set()
    for kind in ("science", "truth"):
        (chosen.out / "stars" / kind).mkdir(parents=True, exist_ok=True)
    for name in chosen.stars:
        images = sorted((chosen.data / "real" / name).glob("*_flt.fits"))
        if not images:
            raise SystemExit(str(InputError(f"--stars {name}: no image in {chosen.data / 'real' / name}")))
        for image in images:
            truth = image.with_name(image.name.replace("_flt", "_truth"))
            shutil.copy(image, chosen.out / "stars" / "science")
            shutil.copy(truth, chosen.out / "stars" / "truth")
            cameras.add(str(fits.getval(image, "INSTRUME")))
    for seed, camera in enumerate(sorted(cameras)):
        root = "".join(letter for letter in camera.lower() if letter.isalnum())
        events = chosen.data / _EVENTS.get(camera, UVIS)
        write_darks(chosen.out / "stars" / "darks", f"{root}dark", {"INSTRUME": camera}, 1, events, seed)
    for seed, (name, (camera, detector, events)) in enumerate(_SIMULATED.items(), 100):
        cards = {"INSTRUME": camera, "DETECTOR": detector}
        write_darks(chosen.out / "rays" / "darks", name, cards, 2, chosen.data / events, seed)


if __name__ == "__main__":
    main()
