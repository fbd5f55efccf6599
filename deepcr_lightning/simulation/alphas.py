"""Charge of alpha particles in thick silicon: round discs with an edge and without wings.

Traces of uranium and thorium in a CCD, its glue and its window send alpha particles into it, which stop within 30 um.
So much charge is set free in one place that it screens the electric field and repels itself on its way to the gates.
What arrives has the shape of a parabola, and a radius that grows with the fourth root of the charge: in six slit
spectra of Shane/Kast, whose CCD is thick and depleted, discs of 5e4 to 1.1e6 electrons have peaks of 2500 to 3000
electrons times the square of their radii in pixels of 15 um, and there is one of more than 1e5 electrons in 250 s and
square centimetre.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# From an alpha that left most of its energy in a dead layer to one of 5 MeV.
_CHARGE = (2e4, 1.4e6)
# Charge of a disc of one pixel of 15 um in radius, from the peaks above.
_UNIT_CHARGE = 4400.0
_STEPS = 5


def add_alphas(image: NDArray[np.float64], count: int, pitch: float, rng: np.random.Generator) -> None:
    """Add the discs of alpha particles to an image of cosmic-ray charge, in place.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Charge in electrons.
    count : int
        Number of particles.
    pitch : float
        Size of a pixel over 15 um.
    rng : numpy.random.Generator
        Source of all random numbers.
    """
    height, width = image.shape
    for _ in range(count):
        charge = float(np.exp(rng.uniform(*np.log(_CHARGE))))
        radius = (charge / _UNIT_CHARGE) ** 0.25 / pitch
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        top, left = math.floor(y - radius), math.floor(x - radius)
        disc = _disc(y - top, x - left, radius, math.ceil(2 * radius) + 1)
        rows = slice(max(top, 0), min(top + len(disc), height))
        columns = slice(max(left, 0), min(left + len(disc), width))
        share = disc[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        image[rows, columns] += charge * share


def _disc(y: float, x: float, radius: float, side: int) -> NDArray[np.float64]:
    """Mean of a parabola over each pixel of a square, of unit sum; pixel edges are whole numbers."""
    at = (np.arange(side * _STEPS) + 0.5) / _STEPS
    squares = ((at[:, None] - y) ** 2 + (at - x) ** 2) / radius**2
    fine = np.maximum(1 - squares, 0)
    binned = fine.reshape(side, _STEPS, side, _STEPS).sum(axis=(1, 3))
    return np.asarray(binned / binned.sum())
