"""Contact sheets of a method on real images: the worst false pixels and the worst misses of each set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray
from real_sky_scores import Maps
from real_sky_sets import Picture
from scipy import ndimage

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.figures import save_figure
from deepcr_lightning.prediction.mask import threshold_mask

LINES, SIDE = 6, 48
"""Places of each kind on a sheet, and their side in pixels."""
_EIGHT = np.ones((3, 3), bool)
_TRUTH = {"CR": "#2ca02c", "touches a CR": "#bcdcbc", "not known": "#777777"}
_MASK = {"found": "#2ca02c", "missed": "#d62728", "false": "#1f77b4", "flagged, does not count": "#aaaaaa"}


@dataclass(frozen=True, eq=False)
class Place:
    """Connected pixels that are wrong: how bad, in which image and chip, and around which pixel."""

    weight: float
    picture: int
    chip: int
    y: int
    x: int


def sheets_of(folder: Path, model: str) -> Callable[[str, list[Picture], list[Maps], float], None]:
    """Make what draws the sheets of a method, for `real_sky_scores.score_sets`.

    Parameters
    ----------
    folder : Path
        Where ``<model>_<set>.png`` go; made if it is not there.
    model : str

    Returns
    -------
    callable
    """

    def draw(name: str, pictures: list[Picture], maps: list[Maps], threshold: float) -> None:
        kinds = [worst(pictures, maps, threshold, false) for false in (True, False)]
        if any(kinds):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{model}_{name.replace(', ', '_')}.png"
            draw_sheet(path, f"{model}, {name}", pictures, maps, threshold, *kinds)

    return draw


def worst(pictures: list[Picture], maps: list[Maps], threshold: float, false: bool) -> list[Place]:
    """Find the worst false or missed pixels of a set, connected ones together, in places that do not overlap.

    Parameters
    ----------
    pictures : list of Picture
    maps : list of list of ndarray of float32, shape (H, W)
    threshold : float
        Threshold of the mask.
    false : bool
        Pixels that are flagged and are no CR, nor touch one; the sum of their map says how bad. Otherwise CR pixels
        that are not flagged; the sum of their height over the surroundings, in units of the noise, says so.

    Returns
    -------
    list of Place
        Not more than `LINES`, the worst first.
    """
    chosen: list[Place] = []
    for place in sorted(_places(pictures, maps, threshold, false), key=lambda place: -place.weight):
        near = [
            (other.picture, other.chip) == (place.picture, place.chip)
            and max(abs(other.y - place.y), abs(other.x - place.x)) < SIDE // 2
            for other in chosen
        ]
        if not any(near):
            chosen.append(place)
        if len(chosen) == LINES:
            break
    return chosen


def _places(pictures: list[Picture], maps: list[Maps], threshold: float, false: bool) -> Iterator[Place]:
    for number, (picture, chips) in enumerate(zip(pictures, maps, strict=True)):
        for place, (chip, map_) in enumerate(zip(picture.exposure.chips, chips, strict=True)):
            truth, usable = picture.truth[chip.extver], ~chip.unusable
            mask = threshold_mask(map_, threshold, usable)
            if false:
                wrong, weights = mask & truth.counted() & ~truth.cr, map_
            else:
                wrong = ~mask & truth.cr & ~truth.ignore & usable
                _, noise = sky_and_noise(chip.electrons, usable)
                weights = np.maximum(chip.electrons - ndimage.median_filter(chip.electrons, 9), 0) / noise
            labels, count = ndimage.label(wrong, _EIGHT)
            several = np.arange(1, count + 1)
            centres = ndimage.maximum_position(weights, labels, several)
            for weight, (y, x) in zip(ndimage.sum(weights, labels, several), centres, strict=True):
                yield Place(float(weight), number, place, int(y), int(x))


def draw_sheet(
    path: Path,
    title: str,
    pictures: list[Picture],
    maps: list[Maps],
    threshold: float,
    false: list[Place],
    missed: list[Place],
) -> None:
    """Draw places, four panels each: image, map, truth and mask; false ones on the left, misses on the right.

    Parameters
    ----------
    path : Path
        PNG to write.
    title : str
    pictures : list of Picture
    maps : list of list of ndarray of float32, shape (H, W)
    threshold : float
    false, missed : list of Place
    """
    lines = max(len(false), len(missed))
    figure = plt.figure(figsize=(16, 2.15 * lines + 1.2), layout="constrained")
    for part, places, name in zip(
        figure.subfigures(1, 2), (false, missed), ("worst false pixels", "worst misses"), strict=True
    ):
        part.suptitle(name if places else f"{name}: none", fontsize=11)
        axes = part.subplots(lines, 4, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for place, line in zip(places, axes, strict=False):
            _draw_place(line, place, pictures[place.picture], maps[place.picture][place.chip], threshold)
    handles = [
        Patch(color=colour, label=f"{panel}: {label}")
        for panel, colours in (("truth", _TRUTH), ("mask", _MASK))
        for label, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=10)
    figure.suptitle(f"{title}, mask at {threshold:.2g}", fontsize=13)
    save_figure(figure, path)


def _draw_place(
    line: NDArray[np.object_], place: Place, picture: Picture, map_: NDArray[np.float32], threshold: float
) -> None:
    chip = picture.exposure.chips[place.chip]
    known = picture.truth[chip.extver]
    mask = threshold_mask(map_, threshold, ~chip.unusable)
    cut = tuple(
        slice(start, start + SIDE)
        for start in (
            min(max(0, middle - SIDE // 2), max(0, length - SIDE))
            for middle, length in zip((place.y, place.x), map_.shape, strict=True)
        )
    )
    edges = (
        cut[1].start - 0.5,
        cut[1].start + map_[cut].shape[1] - 0.5,
        cut[0].start - 0.5,
        cut[0].start + map_[cut].shape[0] - 0.5,
    )
    shown = {"origin": "lower", "interpolation": "nearest", "extent": edges}
    counted = known.counted() & ~chip.unusable
    unknown = known.ignore | chip.unusable
    truth = np.select([unknown, known.cr, ~counted], [3, 1, 2])
    kinds = np.select(
        [mask & (unknown | (~known.cr & ~counted)), unknown, mask & known.cr, known.cr, mask], [4, 0, 1, 2, 3]
    )
    line[0].imshow(_stretched(chip.electrons[cut]), cmap="gray", vmin=0, vmax=1, **shown)
    line[1].imshow(map_[cut], cmap="magma", vmin=0, vmax=1, **shown)
    for axis, values, colours in ((line[2], truth, _TRUTH), (line[3], kinds, _MASK)):
        palette = ListedColormap(["white", *colours.values()])
        axis.imshow(values[cut], cmap=palette, vmin=0, vmax=len(colours), **shown)
    where = f"{picture.exposure.root}\nrow {place.y}, column {place.x}"
    for axis, text in zip(line, (where, "map, 0 to 1", "truth", "mask"), strict=True):
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
        axis.set_title(text, fontsize=8)


def _stretched(electrons: NDArray[np.float32]) -> NDArray[np.float64]:
    """Put a crop on 0 to 1 by its own median, scatter and peak."""
    middle = np.median(electrons)
    scatter = max(1.4826 * float(np.median(np.abs(electrons - middle))), 1e-3)
    stretched = np.arcsinh((electrons - middle) / scatter / 2)
    low, high = np.arcsinh(-1.5), max(float(np.quantile(stretched, 0.998)), float(np.arcsinh(5)))
    return (stretched - low) / (high - low)
