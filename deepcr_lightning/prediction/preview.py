"""One picture an exposure: the chips small, and the places with most cosmic rays before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.products import flagged_share
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.figures import as_it_is, save_figure

_CROP = 96
_CROPS = 3
_SMALL = 512
_DARKEST, _BRIGHTEST = -2.0, float(np.arcsinh(300))
_RED = "#d62728"

Place = tuple[int, slice, slice]
"""Number of the chip among those of the exposure, rows and columns."""


def busiest_places(masks: Sequence[NDArray[np.bool_]], side: int = _CROP, count: int = _CROPS) -> list[Place]:
    """Find the places with most cosmic-ray pixels.

    Parameters
    ----------
    masks : sequence of ndarray of bool, shape (H, W)
        One a chip.
    side : int
        Side of a place in pixels.
    count : int
        Largest number of places.

    Returns
    -------
    list of (int, slice, slice)
        Number of the chip, rows and columns, most pixels first. The places are cells of a grid, so that none
        overlaps another.
    """
    found: list[tuple[int, Place]] = []
    for chip, mask in enumerate(masks):
        for rows in _cells(mask.shape[0], side):
            for columns in _cells(mask.shape[1], side):
                found.append((int(mask[rows, columns].sum()), (chip, rows, columns)))
    best = sorted(found, key=lambda place: -place[0])[:count]
    return [place for flagged, place in best if flagged or place is best[0][1]]


def draw_preview(
    path: Path,
    exposure: Exposure,
    masks: Sequence[NDArray[np.bool_]],
    filled: Sequence[NDArray[np.float32]],
) -> None:
    """Draw an exposure and its cosmic rays.

    Parameters
    ----------
    path : Path
        PNG to write, whole or not at all.
    exposure : Exposure
    masks : sequence of ndarray of bool, shape (H, W)
        One a chip.
    filled : sequence of ndarray of float32, shape (H, W)
        The chips in electrons with the cosmic rays filled.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    levels = [sky_and_noise(chip.electrons, ~chip.unusable) for chip in exposure.chips]
    scaled = [_stretched(chip.electrons, *level) for chip, level in zip(exposure.chips, levels, strict=True)]
    places = busiest_places(masks)
    figure = Figure(figsize=(13, 6.6), layout="constrained")  # not of pyplot, which one thread at a time may use
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.05, 1))[0]
    # On the sky chip 1 of WFC3 and ACS, which is SCI,2, lies above chip 2.
    for cell, number in zip(
        left.subplots(len(masks), 1, squeeze=False)[:, 0], reversed(range(len(masks))), strict=True
    ):
        _draw_chip(cell, scaled[number])
        cell.set_title(f"SCI,{exposure.chips[number].extver}: {masks[number].mean():.2%} flagged", fontsize=9)
        for label, (chip, rows, columns) in enumerate(places, start=1):
            if chip == number:
                _outline(cell, str(label), rows, columns)
    cells = right.subplots(_CROPS, 3, squeeze=False)
    for cell in cells.flat:
        cell.set_axis_off()
    for label, (line, (chip, rows, columns)) in enumerate(zip(cells, places, strict=False), start=1):
        after = _stretched(filled[chip][rows, columns], *levels[chip])
        _show(line[0], scaled[chip][rows, columns])
        line[1].imshow(
            masks[chip][rows, columns], cmap=ListedColormap(["#eeeeee", _RED]), vmin=0, vmax=1, origin="lower",
            interpolation="nearest",
        )  # fmt: skip
        _show(line[2], after)
        line[0].set_title(f"{label}: before, x {columns.start}, y {rows.start}", fontsize=8, loc="left")
        line[1].set_title("mask", fontsize=8, loc="left")
        line[2].set_title("after", fontsize=8, loc="left")
    share = flagged_share(masks)
    name = f"{exposure.path.name}   {exposure.instrument} {exposure.filter}, {exposure.exposure_time:g} s"
    figure.suptitle(f"{as_it_is(name)}, {share:.2%} flagged", fontsize=11)
    write_atomically(path, lambda partial: save_figure(figure, partial))


def _cells(length: int, side: int) -> list[slice]:
    count = max(1, length // side)
    first = (length - count * side) // 2 if length > side else 0
    return [slice(first + n * side, min(first + (n + 1) * side, length)) for n in range(count)]


def _stretched(electrons: NDArray[np.float32], sky: float, noise: float) -> NDArray[np.float32]:
    return np.arcsinh((electrons - np.float32(sky)) / np.float32(noise))


def _draw_chip(cell: Axes, scaled: NDArray[np.float32]) -> None:
    step = min(-(-max(scaled.shape) // (2 * _SMALL)), *scaled.shape)
    rows, columns = (length // step * step for length in scaled.shape)
    blocks = scaled[:rows, :columns].reshape(rows // step, step, columns // step, step).mean((1, 3))
    extent = (-0.5, columns - 0.5, -0.5, rows - 0.5)
    sky, noise = sky_and_noise(blocks)
    white = max(sky + 6 * noise, float(np.quantile(blocks, 0.998)))
    cell.imshow(
        blocks, cmap="gray", vmin=sky - 3 * noise, vmax=white, origin="lower", interpolation="antialiased",
        extent=extent,
    )  # fmt: skip
    cell.tick_params(labelsize=7)


def _outline(cell: Axes, label: str, rows: slice, columns: slice) -> None:
    size = (columns.stop - columns.start, rows.stop - rows.start)
    cell.add_patch(Rectangle((columns.start, rows.start), *size, fill=False, edgecolor=_RED, linewidth=1.2))
    cell.annotate(
        label, (columns.stop, rows.stop), color=_RED, fontsize=9, xytext=(2, -2), textcoords="offset points", va="top"
    )


def _show(cell: Axes, scaled: NDArray[np.float32]) -> None:
    cell.imshow(scaled, cmap="gray", vmin=_DARKEST, vmax=_BRIGHTEST, origin="lower", interpolation="nearest")
