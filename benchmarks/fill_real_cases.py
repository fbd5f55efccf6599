"""Images with holes of known truth: real ones with cosmic rays put in or with empty holes, and simulated ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from real_sky_sets import DATA, Picture, read_sets
from scipy import ndimage
from star_peaks import star_peaks

from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import find_truths, read_matching_truth

TRANSPLANTS = {
    "tr_stargate": "stargate",
    "tr_m13_blue": "m13_blue",
    "tr_subaru": "subaru",
    "tr_decam_sfft": "decam_sfft",
    "tr_wfpc2_f336w": "",
}
"""Sets with real cosmic rays put in, and the sets of the images without them; of tr_wfpc2_f336w there are three with
noise of their own on one image, and what stands below is the mean of the other two."""
FIELDS = (
    "stargate",
    "m13_blue",
    "subaru",
    "decam_sfft",
    "decam_legacypipe",
    "wfpc2_f336w",
    "uvis_2013fy27",
    "hst_pluto",
    "kast_ucsc",
)
"""Sets of sky in which empty holes are cut."""
CRS, EMPTY, STARS = "cosmic rays", "empty holes", "holes on stars"
_APART, _LARGEST, _AWAY, _IMPOSSIBLE = 16, 60, 3, 10.0
_EIGHT = np.ones((3, 3), bool)
Mask = NDArray[np.bool_]
Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Case:
    """An image to fill.

    Attributes
    ----------
    place, kind : str
        Its set or camera, and `CRS`, `EMPTY` or `STARS`.
    image, under : ndarray of float32, shape (H, W)
        With cosmic rays and without, in electrons.
    mask, usable, counted : ndarray of bool, shape (H, W)
        Pixels to fill, pixels with a meaning, and pixels of which the truth is known.
    local : ndarray of float32, shape (H, W)
        Noise of each pixel in electrons.
    stars : ndarray of int64, shape (2, n)
        Rows and columns of stars.
    """

    place: str
    kind: str
    image: Image
    under: Image
    mask: Mask
    usable: Mask
    counted: Mask
    local: Image
    stars: NDArray[np.int64]


def real_cases(data: Path = DATA) -> Iterator[Case]:
    """Give the cases of the real images."""
    sets = read_sets(data, (*TRANSPLANTS, *filter(None, TRANSPLANTS.values()), *FIELDS))
    masks = [chip.cr for name in TRANSPLANTS for picture in sets[name] for chip in picture.truth.values()]
    for name, base in TRANSPLANTS.items():
        for picture in sets[name]:
            yield _transplanted(name, picture, sets[base] if base else sets[name])
    for name in FIELDS:
        for number, picture in enumerate(sets[name]):
            yield from _cut(name, picture, masks, number)


def simulated_cases(folder: Path, exposures: int) -> Iterator[Case]:
    """Give the cases of simulated sets, ``<folder>/<camera>_<seed>/science`` and ``truth``, some exposures of each."""
    found = sorted(path.parent for path in folder.glob("*/science"))
    masks: list[Mask] = []
    for place in found:
        truths = find_truths("truth", place / "truth")
        files = sorted((place / "science").glob("*.fits"))
        for number, path in enumerate(files[:: max(1, len(files) // exposures)][:exposures]):
            exposure = read_exposure(path)
            truth = read_matching_truth(truths[exposure.root], exposure)
            chip, known = exposure.chips[0], truth[exposure.chips[0].extver]
            assert known.charge is not None
            under, camera = chip.electrons - known.charge, place.name.rpartition("_")[0]
            sky, noise = sky_and_noise(under, ~chip.unusable)
            stars = star_peaks(under, np.zeros_like(known.cr), known.ignore | chip.unusable)
            picture = Picture(exposure, truth, "", (stars,))
            # Where a cosmic ray filled a pixel, and no DQ says so, more charge is taken off than there was.
            full = under < sky - _IMPOSSIBLE * noise
            sure = ~known.ignore & ~full
            case = _case(camera, CRS, picture, under, known.cr & ~chip.unusable, sure)
            masks = [*masks[-8:], known.cr]
            yield case
            for kind in (EMPTY, STARS):
                holes = _holes(kind, masks, known.cr.shape, stars, number)
                yield _case(camera, kind, picture, under, (holes | full) & ~chip.unusable, sure, under)


def _transplanted(name: str, picture: Picture, bases: list[Picture]) -> Case:
    (chip,), (known,) = picture.exposure.chips, picture.truth.values()
    roots = [base for base in bases if base is not picture]
    if TRANSPLANTS[name]:
        (base,) = [base for base in roots if f"_{base.exposure.root}_" in picture.exposure.root]
        under, sure = base.exposure.chips[0].electrons, np.ones_like(known.cr)
    else:
        clear = np.array([~ndimage.binary_dilation(base.truth[chip.extver].cr, _EIGHT, 2) for base in roots])
        values = np.array([base.exposure.chips[0].electrons for base in roots])
        sure = clear.any(0)
        under = (np.where(clear, values, 0).sum(0) / np.maximum(clear.sum(0), 1)).astype(np.float32)
    return _case(name, CRS, picture, under, known.cr & ~chip.unusable, sure & ~known.ignore)


def _cut(name: str, picture: Picture, masks: list[Mask], seed: int) -> Iterator[Case]:
    """Cut empty holes: anywhere, and on stars."""
    (chip,), (known,) = picture.exposure.chips, picture.truth.values()
    own = ndimage.binary_dilation(known.cr, _EIGHT)
    away = ~ndimage.binary_dilation(known.cr, _EIGHT, _AWAY) & ~known.ignore
    for kind in (EMPTY, STARS):
        holes = _holes(kind, masks, chip.electrons.shape, picture.stars[0], seed)
        mask = (holes | own) & ~chip.unusable
        yield _case(name, kind, picture, chip.electrons, mask, away & holes)


def _case(
    name: str, kind: str, picture: Picture, under: Image, mask: Mask, sure: Mask, image: Image | None = None
) -> Case:
    chip = picture.exposure.chips[0]
    usable = ~chip.unusable
    sky, noise = sky_and_noise(under, usable)
    local = np.sqrt(noise**2 + np.maximum(ndimage.median_filter(under, 3) - sky, 0)).astype(np.float32)
    stars = picture.stars[0] if picture.stars else np.zeros((2, 0), np.int64)
    given = chip.electrons if image is None else image
    return Case(name, kind, given, under, mask, usable, mask & sure & usable, local, stars)


def _holes(kind: str, masks: list[Mask], shape: tuple[int, ...], stars: NDArray[np.int64], seed: int) -> Mask:
    return _empty(masks, shape, seed) if kind == EMPTY else _on_stars(masks, shape, stars, seed)


def _empty(masks: list[Mask], shape: tuple[int, ...], seed: int) -> Mask:
    """Cut the cosmic rays of an image at another place, with those of the image turned over."""
    rng = np.random.default_rng(seed)
    mask = masks[rng.integers(len(masks))][:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    rows, columns = (rng.integers(length) + np.arange(size) for length, size in zip(mask.shape, shape, strict=True))
    return mask[np.ix_(rows % mask.shape[0], columns % mask.shape[1])]


def _on_stars(masks: list[Mask], shape: tuple[int, ...], stars: NDArray[np.int64], seed: int) -> Mask:
    """Lay a cosmic ray over each star that has no other near that is hit, one of its pixels on the peak."""
    rng = np.random.default_rng(seed)
    mask = masks[rng.integers(len(masks))]
    labels, _ = ndimage.label(mask, _EIGHT)
    places = [np.argwhere(labels[box] == n + 1) for n, box in enumerate(ndimage.find_objects(labels))]
    places = [place for place in places if len(place) <= _LARGEST]
    holes = np.zeros(shape, bool)
    taken = np.zeros(shape, bool)
    for peak in rng.permutation(stars.T):
        if taken[tuple(peak)]:
            continue
        taken[tuple(slice(max(0, at - _APART), at + _APART + 1) for at in peak)] = True
        event = places[rng.integers(len(places))]
        at = event - event[rng.integers(len(event))] + peak
        at = at[((at >= 0) & (at < shape)).all(1)]
        holes[tuple(at.T)] = True
    return holes
