"""The sets of real images that models are judged on: exposures, their truth and their stars."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from real_exposures import MOVING, without_moving
from real_sky_changes import Change, changed
from star_peaks import star_peaks

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.truth import ChipTruth, read_matching_truth

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Where the images lie, beside the checkout."""
REFERENCE = ("dfcosmic_wfpc2",)
"""Sets whose catalogue is no truth."""
UVIS = "uvis_2013fy27"
UVIS_AS_IS = "uvis_2013fy27, movers"
"""Three exposures without the moving sources that their truth took for CRs, and with them (docs/studies/results.md)."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image of a set.

    Attributes
    ----------
    exposure : Exposure
    truth : dict of int to ChipTruth
        By EXTVER.
    kind : str
        KIND of its header: ``multi``, ``catalogue``, ``control`` or ``transplant``; ``multi`` where there is none.
    stars : tuple of ndarray of int64, shape (2, n)
        Rows and columns of the stars of each chip.
    """

    exposure: Exposure
    truth: dict[int, ChipTruth]
    kind: str
    stars: tuple[NDArray[np.int64], ...]


def read_sets(
    data: Path = DATA, names: Sequence[str] | None = None, change: Change | None = None
) -> dict[str, list[Picture]]:
    """Read the sets of real images; what cannot be read is named on stderr and left out.

    Parameters
    ----------
    data : Path
        Folder with ``real/<set>/<root>_flt.fits`` and ``<root>_truth.fits`` beside it, and with ``uvis_2013fy27``.
    names : sequence of str, optional
        Sets to read; all by default.
    change : callable, optional
        Done to each chip and its truth (`real_sky_changes`).

    Returns
    -------
    dict of str to list of Picture
        By the name of the set.

    Raises
    ------
    InputError
        If there is no set, or none of a name.
    """
    files = list(_files(data))
    there = list(dict.fromkeys(name for name, *_ in files))
    if not there:
        raise InputError(f"--data={data}: has neither real/SET/NAME_flt.fits nor {UVIS}/science")
    if unknown := set(names or ()) - set(there):
        raise InputError(f"--sets {' '.join(sorted(unknown))}: not in {data}; there are {', '.join(there)}")
    sets: dict[str, list[Picture]] = {}
    for name, image, truth in files:
        if names and name not in names:
            continue
        try:
            sets.setdefault(name, []).append(_picture(name, image, truth, change))
        except InputError as error:
            print(f"Left out of {name}: {error}", file=sys.stderr, flush=True)
    return {name: pictures for name, pictures in sets.items() if pictures}


def _files(data: Path) -> Iterator[tuple[str, Path, Path]]:
    for image in sorted((data / "real").glob("*/*_flt.fits")):
        yield image.parent.name, image, image.with_name(image.name.replace("_flt.fits", "_truth.fits"))
    for name in (UVIS, UVIS_AS_IS):
        for root in MOVING:
            image = data / UVIS / "science" / f"{root}_flc.fits"
            if image.is_file():
                yield name, image, data / UVIS / "truth" / f"{root}_truth.fits"


def _picture(name: str, image: Path, file: Path, change: Change | None) -> Picture:
    exposure = read_exposure(image)
    if not file.is_file():
        raise InputError(f"{image.name} has no {file.name} beside it")
    truth = read_matching_truth(file, exposure)
    if name == UVIS:
        truth = {version: without_moving(chip, exposure.root) for version, chip in truth.items()}
    if change is not None:
        chips, truth = changed(exposure.chips, truth, change)
        exposure = replace(exposure, chips=chips)
    kind = exposure.header.get("KIND", "multi")
    if kind == "control" and any(known.cr.any() for known in truth.values()):  # of the change
        kind = "transplant"
    return Picture(exposure, truth, kind, tuple(_stars(exposure, truth)))


def _stars(exposure: Exposure, truth: dict[int, ChipTruth]) -> Iterator[NDArray[np.int64]]:
    for chip in exposure.chips:
        known = truth[chip.extver]
        if exposure.filter == "SPECTRUM":  # there are no stars in the spectrum of a slit, but many bumps
            yield np.zeros((2, 0), np.int64)
        else:
            yield star_peaks(chip.electrons, known.cr, known.ignore | chip.unusable)
