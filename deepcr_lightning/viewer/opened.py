"""An exposure as the page has it open: chips, maps, masks at any threshold, truth, and what was changed by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.pointing import read_pointings
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.exposures.truth import ENDING, read_matching_truth
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.viewer.earlier import EarlierMask, read_mask_file
from deepcr_lightning.viewer.hand import ADDED, REMOVED, UNTOUCHED, Mending
from deepcr_lightning.viewer.ladder import ALWAYS, grown_codes, rung_codes, rungs_with

Stamp = tuple[int, int] | None
"""What tells one state of a file from another; None where there is no file."""
Search = Callable[[Exposure], tuple[list[NDArray[np.float32]], Provenance]]
"""Runs a network over an exposure: the map of each chip, and the provenance of a mask at its own threshold."""


@dataclass(eq=False)
class OpenExposure:
    """An exposure and its mask, which `threshold`, `grow` and a hand change.

    Attributes
    ----------
    exposure : Exposure
    mask_path : Path
        Where the mask is read from and saved.
    stamp : (int, int) or None
        State of the file there when it was read.
    provenance : Provenance
        Provenance of the mask before the page changed anything.
    maps : list of ndarray of float32, shape (H, W), or None
        Probability of each chip; None for a mask file without it, whose mask no threshold moves.
    rungs : list of float
        Thresholds to choose from.
    codes : list of ndarray of uint8, shape (H, W)
        The maps, or such a mask, as `viewer.ladder` codes them.
    mending : Mending
    rung : int
        Place of the threshold in `rungs`.
    grow : int
        Rings of pixels.
    truth : list of (ndarray of bool, shape (H, W)) or None
    pointings : dict of int to WCS
        By EXTVER.
    saved_at : tuple
        Rung, growth and state of the mending (`Mending.state`) that the file has; None before there is one.
    """

    exposure: Exposure
    mask_path: Path
    stamp: Stamp
    provenance: Provenance
    maps: list[NDArray[np.float32]] | None
    rungs: list[float]
    codes: list[NDArray[np.uint8]]
    mending: Mending
    rung: int
    grow: int
    truth: list[NDArray[np.bool_]] | None
    pointings: dict[int, WCS]
    saved_at: tuple[int, int, int] | None = None
    _grown: dict[int, tuple[int, NDArray[np.uint8]]] = field(default_factory=dict)

    @property
    def threshold(self) -> float:
        """Threshold on the probability."""
        return self.rungs[self.rung]

    def found(self, chip: int) -> NDArray[np.uint8]:
        """Codes of a chip at the chosen growth, without what was changed by hand; uint8, shape (H, W)."""
        held = self._grown.get(chip)
        if held is None or held[0] != self.grow:
            usable = ~self.exposure.chips[chip].unusable
            held = self._grown[chip] = (self.grow, grown_codes(self.codes[chip], usable, self.grow))
        return held[1]

    def shown(self, chip: int) -> NDArray[np.uint8]:
        """Codes of a chip with what was changed by hand; uint8, shape (H, W)."""
        return self.mending.over(chip, self.found(chip))

    def mask(self, chip: int) -> NDArray[np.bool_]:
        """Mask of a chip as it stands; bool, shape (H, W)."""
        return self.shown(chip) > self.rung

    def flags(self, chip: int, row: int, column: int) -> bool:
        """Tell whether one pixel is in the mask."""
        mark = self.mending.marks[chip][row, column]
        return bool(mark == ADDED or (mark != REMOVED and self.found(chip)[row, column] > self.rung))

    def differences(self, chip: int) -> NDArray[np.uint8]:
        """Pick out the marks of a chip that make a difference to its mask as it stands; uint8, shape (H, W)."""
        marks, found = self.mending.marks[chip], self.found(chip) > self.rung
        return np.where(found == (marks == ADDED), UNTOUCHED, marks).astype(np.uint8)

    def by_hand(self) -> tuple[int, int]:
        """Count the pixels that a hand added to the mask and took from it, over all chips."""
        marks = [self.differences(chip) for chip in range(len(self.codes))]
        added, removed = (sum(int(np.count_nonzero(of == mark)) for of in marks) for mark in (ADDED, REMOVED))
        return added, removed

    @property
    def changed(self) -> bool:
        """Whether the mask differs from what the file has."""
        return self.saved_at != (self.rung, self.grow, self.mending.state)

    @property
    def mended(self) -> bool:
        """Whether a hand changed it since it was opened or saved."""
        return self.mending.state != (self.saved_at[2] if self.saved_at is not None else 0)


def stamp_of(path: Path) -> Stamp:
    """Tell the state of a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    (int, int) or None
        Time of its last change in nanoseconds, and its number in the file system; None where there is none.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def open_exposure(
    path: Path,
    mask_path: Path,
    search: Search,
    settings: ReadSettings | None = None,
    truth_path: Path | None = None,
    anew: bool = False,
) -> OpenExposure:
    """Open an exposure with the mask that was written before, or search it.

    Parameters
    ----------
    path : Path
    mask_path : Path
        ``<root>_crmask.fits``, which need not be there.
    search : callable
        Used where there is no mask file, or by `anew`.
    settings : ReadSettings, optional
    truth_path : Path, optional
        ``<root>_truth.fits``; beside the exposure by default. It need not be there.
    anew : bool
        Search although there is a mask file.

    Returns
    -------
    OpenExposure

    Raises
    ------
    InputError
        If a file cannot be read, or the mask or truth is of another exposure.
    """
    exposure = read_exposure(path, settings, timed=False)
    stamp = stamp_of(mask_path)
    earlier = read_mask_file(mask_path, exposure) if stamp is not None and not anew else None
    maps: list[NDArray[np.float32]] | None
    if earlier is None:
        maps, provenance = search(exposure)
    else:
        maps, provenance = earlier.maps, earlier.provenance
    rungs = rungs_with(provenance.threshold)
    rung = rungs.index(provenance.threshold)
    if maps is not None:
        codes = [rung_codes(found, ~chip.unusable, rungs) for found, chip in zip(maps, exposure.chips, strict=True)]
    else:
        codes = [_fixed(earlier, place) for place in range(len(exposure.chips))]
    opened = OpenExposure(
        exposure=exposure,
        mask_path=mask_path,
        stamp=stamp,
        provenance=provenance,
        maps=maps,
        rungs=rungs,
        codes=codes,
        mending=Mending([np.zeros(chip.electrons.shape, np.uint8) for chip in exposure.chips]),
        rung=rung,
        # A mask without its map has been grown.
        grow=provenance.grow if maps is not None else 0,
        truth=_truth(truth_path or path.with_name(f"{exposure.root}{ENDING}"), exposure),
        pointings=_pointings(exposure),
    )
    if earlier is not None:
        opened.mending = Mending(_marks(opened, earlier))
        opened.saved_at = (opened.rung, opened.grow, 0)
    return opened


def _fixed(earlier: EarlierMask | None, chip: int) -> NDArray[np.uint8]:
    if earlier is None:  # a search always gives maps
        raise InputError("no map and no mask")
    mask = earlier.masks[chip]
    if earlier.marks is not None:
        mask = (mask & (earlier.marks[chip] != ADDED)) | (earlier.marks[chip] == REMOVED)
    return np.where(mask, ALWAYS, 0).astype(np.uint8)


def _marks(opened: OpenExposure, earlier: EarlierMask) -> list[NDArray[np.uint8]]:
    marks = []
    for chip, mask in enumerate(earlier.masks):
        found = opened.found(chip) > opened.rung
        given = earlier.marks[chip] if earlier.marks is not None else np.full(mask.shape, UNTOUCHED, np.uint8)
        # What another program changed in the mask was changed by hand, too.
        given[mask & ~found] = ADDED
        given[~mask & found] = REMOVED
        marks.append(np.ascontiguousarray(given))
    return marks


def _truth(path: Path, exposure: Exposure) -> list[NDArray[np.bool_]] | None:
    if not path.exists():
        return None
    chips = read_matching_truth(path, exposure)
    return [chips[chip.extver].cr for chip in exposure.chips]


def _pointings(exposure: Exposure) -> dict[int, WCS]:
    try:
        return read_pointings(exposure)
    except InputError:  # a mask needs no WCS
        return {}
