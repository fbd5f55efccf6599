"""How every figure is made: without a screen, on one stretch, written whole."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from deepcr_lightning.atomic import write_atomically

# Chosen here alone: a module that draws needs this one to save what it drew.
matplotlib.use("Agg")

_DOTS_PER_INCH = 110
_LOWEST, _HIGHEST = -2.0, float(np.arcsinh(300))


def show_electrons(
    axes: Axes, electrons: NDArray[np.float32], sky: float, noise: float, lowest: float = _LOWEST
) -> AxesImage:
    """Show a part of a chip in grey, linear in the noise of its sky and logarithmic above.

    Parameters
    ----------
    axes : Axes
        Where it is drawn.
    electrons : ndarray of float32, shape (H, W)
        Image in electrons.
    sky, noise : float
        Sky level and noise of the whole chip in electrons (`exposures.sky.sky_and_noise`).
    lowest : float
        Value shown black, ``arcsinh((electrons - sky) / noise)``; 300 times the noise above the sky is white.

    Returns
    -------
    AxesImage
        For a colour bar; its values are those of the stretch.
    """
    return axes.imshow(
        np.arcsinh((electrons - sky) / noise),
        cmap="gray",
        vmin=lowest,
        vmax=_HIGHEST,
        origin="lower",
        interpolation="nearest",
    )


def as_it_is(text: str) -> str:
    """Write a text that comes from a file or its header so that a figure shows it, and takes no dollar for a formula.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        What stands in a title, and looks like the text; signs that cannot be shown are question marks.
    """
    return "".join(sign if sign.isprintable() else "?" for sign in text).replace("$", r"\$")


def save_figure(figure: plt.Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all, and close it.

    Parameters
    ----------
    figure : Figure
        The figure.
    path : Path
        PNG to write; its directory is made.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    try:
        write_atomically(path, lambda partial: figure.savefig(partial, dpi=_DOTS_PER_INCH))
    finally:
        plt.close(figure)
