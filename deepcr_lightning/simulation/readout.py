"""One exposure of one chip: light and cosmic rays in, calibrated SCI, ERR and DQ out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.exposures.dq import WFC3DQ
from deepcr_lightning.exposures.instruments import INSTRUMENTS
from deepcr_lightning.simulation.chip_defects import ChipDefects

GAIN = INSTRUMENTS["WFC3", "UVIS"].gain
"""Electrons per count."""

READ_NOISE = INSTRUMENTS["WFC3", "UVIS"].read_noise
"""Read noise in electrons."""

BIAS_COUNTS = 2500
"""Bias level in counts, below which there is nothing and above which the A/D has less room."""

AD_MAXIMUM = 65535
"""Largest count of the A/D converter."""


@dataclass(frozen=True)
class ChipFrame:
    """A calibrated exposure of one chip, and what it should have shown.

    Attributes
    ----------
    science : ndarray of float32, shape (H, W)
        Calibrated image in electrons (SCI).
    error : ndarray of float32, shape (H, W)
        Its error estimate in electrons (ERR).
    dq : ndarray of int16, shape (H, W)
        Data-quality bits (DQ).
    noise : ndarray of float32, shape (H, W)
        True standard deviation of a pixel without cosmic rays, in electrons.
    """

    science: NDArray[np.float32]
    error: NDArray[np.float32]
    dq: NDArray[np.int16]
    noise: NDArray[np.float32]


def expose(
    light: NDArray[np.floating],
    cosmic_rays: NDArray[np.float32],
    chip: ChipDefects,
    *,
    seconds: float,
    flash: float,
    subtract_dark: bool,
    rng: np.random.Generator,
    read_noise: float = READ_NOISE,
    gain: float = GAIN,
    full_well: float = 1.0,
) -> ChipFrame:
    """Expose a chip, read it out and calibrate the result as calwf3 does.

    Parameters
    ----------
    light : ndarray, shape (H, W)
        Expected light in electrons / s.
    cosmic_rays : ndarray of float32, shape (H, W)
        Cosmic-ray charge in electrons.
    chip : ChipDefects
        The chip.
    seconds : float
        Exposure time in s.
    flash : float
        Post-flash in electrons; it is subtracted again, its noise stays.
    subtract_dark : bool
        Whether the reference dark is subtracted: for science, not for darks.
    rng : numpy.random.Generator
        Source of all random numbers.
    read_noise : float
        In electrons.
    gain : float
        Electrons per count.
    full_well : float
        Factor on the full well of the chip.

    Returns
    -------
    ChipFrame
        Calibrated images.
    """
    expected = (light * seconds + flash) * chip.response + chip.dark_now(rng) * seconds
    # Beyond 1e9 electrons only the bleeding matters, and a Poisson draw would be slow.
    charge = rng.poisson(np.minimum(expected, 1e9)).astype(np.float32) + cosmic_rays
    charge -= np.minimum(chip.trap_depth, 0.9 * charge)
    charge, saturated = bleed(charge, np.float32(full_well) * chip.full_well)
    charge += rng.normal(0, read_noise, charge.shape).astype(np.float32)
    measured, over = digitise(charge, rng, gain)
    dq = chip.dq.copy()
    dq[saturated] |= WFC3DQ.SATURATED.value
    dq[over] |= WFC3DQ.AD_SATURATED.value
    science = measured - np.float32(flash)
    if subtract_dark:
        science -= chip.superdark * np.float32(seconds)
    error = np.sqrt(np.maximum(measured, 0) + np.float32(read_noise**2))
    noise = np.sqrt(expected + read_noise**2).astype(np.float32)
    return ChipFrame(science, error, dq, noise)


def bleed(charge: NDArray[np.float32], full_well: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Let charge above the full well flow up and down its column.

    Parameters
    ----------
    charge : ndarray of float32, shape (H, W)
        Charge in electrons.
    full_well : ndarray of float32, shape (H, W)
        Capacity of each pixel in electrons.

    Returns
    -------
    charge : ndarray of float32, shape (H, W)
        Charge after bleeding; what reaches the edge of the frame is lost.
    saturated : ndarray of bool, shape (H, W)
        Pixels that are full.
    """
    columns = np.flatnonzero((charge > full_well).any(axis=0))
    wells = full_well[:, columns].astype(np.float64)
    held = charge[:, columns].astype(np.float64)
    half = np.maximum(held - wells, 0) / 2
    held = np.minimum(held, wells)
    rows = range(len(held))
    for order in (rows, reversed(rows)):
        carried = np.zeros(len(columns))
        for row in order:
            carried += half[row]
            taken = np.minimum(carried, wells[row] - held[row])
            held[row] += taken
            carried -= taken
    out = charge.copy()
    out[:, columns] = held
    saturated = np.zeros(charge.shape, dtype=bool)
    saturated[:, columns] = held >= wells
    return out, saturated


def digitise(
    charge: NDArray[np.float32], rng: np.random.Generator, gain: float = GAIN
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Convert charge to counts and back, with the limits of the A/D converter.

    Parameters
    ----------
    charge : ndarray of float32, shape (H, W)
        Charge in electrons, read noise included.
    rng : numpy.random.Generator
        Source of the fractional bias level of each pixel.
    gain : float
        Electrons per count.

    Returns
    -------
    measured : ndarray of float32, shape (H, W)
        Bias-subtracted charge in electrons.
    over : ndarray of bool, shape (H, W)
        Pixels at the largest count.
    """
    # The bias is no whole number of counts, so the rounding leaves no comb behind.
    bias = BIAS_COUNTS + rng.random(charge.shape, dtype=np.float32)
    counts = np.clip(np.rint(charge / np.float32(gain) + bias), 0, AD_MAXIMUM)
    measured = (counts - bias) * np.float32(gain)
    return measured.astype(np.float32), counts >= AD_MAXIMUM
