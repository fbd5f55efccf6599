"""Find the cosmic rays of each exposure of a group."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import number
from deepcr_lightning.exposures.exposure import Chip, Exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.labels.coadd import median_image, minmed_image
from deepcr_lightning.labels.moving_sources import Blobs, find_blobs, find_moving
from deepcr_lightning.labels.register import Place, correct, find_shift, place_by_shift, place_by_wcs, resample
from deepcr_lightning.labels.significance import Excess, find_excess

log = logging.getLogger(__name__)

LINEAR, CUBIC = 1, 3
"""Interpolation before and after the cosmic rays of the others are known: a cubic spline rings around them."""


def label_group(
    exposures: list[Exposure], pointings: Sequence[dict[int, WCS]]
) -> Iterator[tuple[Exposure, dict[int, ChipTruth]]]:
    """Find the cosmic rays of each exposure by comparing it with the others.

    Parameters
    ----------
    exposures : list of Exposure
        Two or more of one field and filter.
    pointings : sequence of dict of int to WCS
        Pointing of each (`exposures.pointing.read_pointings`).

    Yields
    ------
    Exposure, dict of int to ChipTruth
        The exposure, and its cosmic rays, the pixels of which nothing is known, and their charge, by EXTVER.

    Raises
    ------
    InputError
        If an exposure overlaps none of the others.

    Notes
    -----
    Every exposure is compared on its own pixels: the others are interpolated, it never is. A first comparison, with
    the lower of median and minimum of the others, finds the cosmic rays of all; a second leaves these out of the
    median, so that no cosmic ray of another exposure hides one or makes one. Nothing is known of pixels that are
    unusable, that no other exposure sees, that stand out at the same place of the detector in half of the others
    (a warm pixel), that belong to a source which moves (`labels.moving_sources`), or that stand out by no more than the
    gradient allows.
    """
    group = _Group(exposures, pointings)
    first = [group.compare(n, LINEAR, None) for n in range(len(exposures))]
    masks = [[excess.cosmic_ray for excess in chips] for chips in first]
    second = [group.compare(n, CUBIC, masks) for n in range(len(exposures))]
    for n, exposure in enumerate(exposures):
        found = {}
        for c, chip in enumerate(exposure.chips):
            excess = second[n][c]
            static = _static(chip, exposures[:n] + exposures[n + 1 :], second[:n] + second[n + 1 :])
            moving = group.moving(n, c, second)
            unknown = chip.unusable | np.isnan(excess.electrons) | static | (excess.high & ~excess.cosmic_ray)
            cosmic_ray = excess.cosmic_ray & ~moving
            charge = np.where(cosmic_ray, np.nan_to_num(excess.electrons), 0).astype(np.float32)
            found[chip.extver] = ChipTruth(cosmic_ray, unknown | moving, charge)
        yield exposure, found


class _Group:
    """Exposures of one field, and how their chips lie on each other."""

    def __init__(self, exposures: Sequence[Exposure], pointings: Sequence[dict[int, WCS]]) -> None:
        self.exposures, self.pointings = exposures, pointings
        self.levels = [[sky_and_noise(chip.electrons, ~chip.unusable) for chip in e.chips] for e in exposures]
        self.light = [
            [chip.electrons - np.float32(sky) for chip, (sky, _) in zip(e.chips, levels, strict=True)]
            for e, levels in zip(exposures, self.levels, strict=True)
        ]
        self.corrections: dict[tuple[int, int, int, int], tuple[float, float] | None] = {}

    def compare(self, n: int, order: int, masks: Sequence[Sequence[NDArray[np.bool_]]] | None) -> list[Excess]:
        """Compare the chips of exposure `n` with the others, without the pixels of `masks`."""
        return [self._compare_chip(n, c, order, masks) for c in range(len(self.exposures[n].chips))]

    def moving(self, n: int, c: int, found: Sequence[list[Excess]]) -> NDArray[np.bool_]:
        """Find the pixels of chip `c` of exposure `n` that show a source which moves."""
        numbers, ours = find_blobs(found[n][c], self.exposures[n].exposure_time)
        others, days = [], []
        for m, exposure in enumerate(self.exposures):
            start, ours_start = (number((e.header,), "EXPSTART") for e in (exposure, self.exposures[n]))
            for d in range(len(exposure.chips)) if m != n and start and ours_start else ():
                place = self._place(m, d, n, c)
                if place is not None:
                    blobs = find_blobs(found[m][d], exposure.exposure_time)[1]
                    at = tuple(np.rint(blobs.place).astype(int).T)
                    others.append(
                        Blobs(blobs.place + np.stack([axis[at] for axis in place], 1) - np.stack(at, 1), blobs.rate)
                    )
                    days.append(start - ours_start)
        is_moving = np.concatenate([[False], find_moving(ours, others, days)])
        return ndimage.binary_dilation(is_moving[numbers], np.ones((3, 3), bool))

    def _compare_chip(self, n: int, c: int, order: int, masks: Sequence[Sequence[NDArray[np.bool_]]] | None) -> Excess:
        ours, chip = self.exposures[n], self.exposures[n].chips[c]
        ratios = {m: ours.exposure_time / other.exposure_time for m, other in enumerate(self.exposures) if m != n}
        seen = {m: self._on(n, c, m, order, masks) for m in ratios}
        planes = {m: plane * np.float32(ratios[m]) for m, plane in seen.items() if plane is not None}
        if not planes:
            raise InputError(
                f"{ours.path}[SCI,{chip.extver}]: overlaps no other exposure of its group; leave it out, or name the "
                "groups in a table (--groups, train: data.groups)"
            )
        stack = np.stack(list(planes.values()))
        noises = [ratios[m] * float(np.mean([noise for _, noise in self.levels[m]])) for m in planes]
        others_noise = float(np.sqrt(np.mean(np.square(noises))))
        coadd = minmed_image(stack, others_noise) if masks is None else median_image(stack)
        light = np.where(chip.unusable, np.float32(np.nan), self.light[n][c])
        known = np.isfinite(stack).sum(0)
        ratio = float(np.mean([ratios[m] for m in planes]))
        return find_excess(light, coadd, known, self.levels[n][c][1], others_noise, ratio)

    def _on(
        self, n: int, c: int, m: int, order: int, masks: Sequence[Sequence[NDArray[np.bool_]]] | None
    ) -> NDArray[np.float32] | None:
        """Image of exposure `m` on the pixels of chip `c` of exposure `n`; None where they do not overlap."""
        seen: NDArray[np.float32] | None = None
        for d, other in enumerate(self.exposures[m].chips):
            place = self._place(n, c, m, d)
            if place is None:
                continue
            good = ~other.unusable if masks is None else ~(other.unusable | masks[m][d])
            plane = resample(self.light[m][d], good, place, order)
            seen = plane if seen is None else np.where(np.isnan(seen), plane, seen)
        return seen

    def _place(self, n: int, c: int, m: int, d: int) -> Place | None:
        chip, other = self.exposures[n].chips[c], self.exposures[m].chips[d]
        shape, other_shape = chip.electrons.shape, other.electrons.shape
        wcs, other_wcs = self.pointings[n].get(chip.extver), self.pointings[m].get(other.extver)
        known = (n, c, m, d) in self.corrections
        shift = self.corrections.get((n, c, m, d))
        if wcs is not None and other_wcs is not None:
            place = place_by_wcs(wcs, other_wcs, shape, other_shape)
            if place is None:
                return None
            if not known:
                seen = self._in_noise(m, d, resample(self.light[m][d], ~other.unusable, place, LINEAR))
                self.corrections[n, c, m, d] = shift = correct(self._in_noise(n, c), seen, self.exposures[m].root)
            return place if shift is None else (place[0] + shift[0], place[1] + shift[1])
        if chip.number != other.number:
            return None
        if not known:
            self.corrections[n, c, m, d] = shift = find_shift(self._in_noise(n, c), self._in_noise(m, d))
            name, root = self.exposures[m].root, self.exposures[n].root
            if shift is None:
                log.warning("%s: has no WCS to align it with %s, and the images do not give the shift", name, root)
            else:
                log.info(
                    "%s: aligned with %s by their images, shifted by %.2f rows and %.2f columns", name, root, *shift
                )
        return None if shift is None else place_by_shift(shape, shift)

    def _in_noise(self, n: int, c: int, light: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        chip = self.exposures[n].chips[c]
        if light is None:
            light = np.where(chip.unusable, np.float32(np.nan), self.light[n][c])
        return light / np.float32(self.levels[n][c][1])


def _static(chip: Chip, exposures: Sequence[Exposure], found: Sequence[list[Excess]]) -> NDArray[np.bool_]:
    """Find pixels that stand out in half of the other exposures, and in two at least, at this place of the detector."""
    here = [
        excess.high
        for other, excesses in zip(exposures, found, strict=True)
        for twin, excess in zip(other.chips, excesses, strict=True)
        if (twin.number, twin.corner, twin.electrons.shape) == (chip.number, chip.corner, chip.electrons.shape)
    ]
    count = np.zeros(chip.electrons.shape, np.int64)
    for high in here:
        count += high
    return count >= max(2, len(here) / 2)
