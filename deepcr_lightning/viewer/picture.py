"""Exposures as bytes for a browser: asinh of the noise, grey palettes, thumbnails."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.sky import sky_and_noise

_LOWEST, _STEPS = -8.0, 2048
DARKEST, BRIGHTEST = -2.0, 6.4
"""Black and white in units of asinh(signal / noise): 4 below the sky and 300 above it."""
STRETCHES = ("asinh", "linear")
_THUMBNAIL = 96
_GREYS = 256


def codes_of(electrons: NDArray[np.float32], sky: float, noise: float) -> NDArray[np.uint16]:
    """Put an image on the scale of the page.

    Parameters
    ----------
    electrons : ndarray of float32, shape (H, W)
    sky, noise : float
        In electrons.

    Returns
    -------
    ndarray of uint16, shape (H, W)
        ``2048 * (8 + asinh((electrons - sky) / noise))``.
    """
    scaled = np.arcsinh((electrons - np.float32(sky)) / np.float32(noise))
    return np.clip(code_of(scaled), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def code_of(scaled: NDArray[np.float32] | float) -> NDArray[np.float32]:
    """Code of a value of asinh(signal / noise)."""
    return np.rint((np.asarray(scaled, np.float32) - np.float32(_LOWEST)) * np.float32(_STEPS))


def greys(stretch: str, black: float, white: float) -> list[str]:
    """Make the palette that shows codes between two limits.

    Parameters
    ----------
    stretch : str
        ``"asinh"``, or ``"linear"`` in electrons.
    black, white : float
        In units of asinh(signal / noise).

    Returns
    -------
    list of str
        256 colours.
    """
    share = np.linspace(0, 1, _GREYS)
    if stretch == "linear":
        signal = np.sinh(black + share * (white - black))
        share = (signal - np.sinh(black)) / (np.sinh(white) - np.sinh(black))
    return [f"#{level:02x}{level:02x}{level:02x}" for level in np.rint(255 * share).astype(int)]


def thumbnail(exposure: Exposure) -> str:
    """Draw the first chip of an exposure small.

    Parameters
    ----------
    exposure : Exposure

    Returns
    -------
    str
        A ``data:`` address that holds a JPEG.
    """
    chip = exposure.chips[0]
    rows, columns = chip.electrons.shape
    step = max(1, min(-(-max(rows, columns) // (2 * _THUMBNAIL)), rows, columns))
    cut = chip.electrons[: rows // step * step, : columns // step * step]
    small = cut.reshape(rows // step, step, columns // step, step).mean((1, 3))
    scaled = np.arcsinh((small - np.float32(sky_and_noise(small)[0])) / np.float32(sky_and_noise(small)[1]))
    white = max(float(np.quantile(scaled, 0.998)), 3.0)
    grey = np.clip((scaled + 2) / (white + 2) * 255, 0, 255).astype(np.uint8)
    picture = Image.fromarray(grey[::-1])
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
