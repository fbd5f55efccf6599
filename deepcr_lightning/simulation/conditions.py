"""The conditions of an exposure: what differs from visit to visit and from camera to camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation.readout import READ_NOISE

WIDE = {"stars": (0.25, 16.0), "psf": (0.8, 2.0), "sky": (0.5, 8.0), "silicon": (0.7, 3.0), "read_noise": (2.0, 8.0)}
"""Ranges of wide conditions, all of them log-uniform."""


@dataclass(frozen=True)
class Conditions:
    """What sets an exposure apart from the usual one of WFC3/UVIS.

    Attributes
    ----------
    stars : float
        Number of stars over that of the field type.
    psf : float
        Width of the point-spread function over that of the filter: focus, jitter, other cameras. Below 1 the
        pixels are coarser.
    sky : float
        Sky over that of the filter: earthshine, zodiacal light.
    silicon : float
        Thickness of the silicon over that of UVIS: the length, charge and blur of cosmic rays.
    read_noise : float
        In electrons.
    flash : bool
        Whether low backgrounds are post-flashed.

    Raises
    ------
    InputError
        If a factor or the read noise is not positive.
    """

    stars: float = 1.0
    psf: float = 1.0
    sky: float = 1.0
    silicon: float = 1.0
    read_noise: float = READ_NOISE
    flash: bool = True

    def __post_init__(self) -> None:
        for name in WIDE:
            if not getattr(self, name) > 0:
                raise InputError(f"conditions: {name} must be positive, got {getattr(self, name)}")


USUAL = Conditions()
"""Those of WFC3/UVIS."""


def draw_conditions(groups: int, visits: int, rng: np.random.Generator) -> list[Conditions]:
    """Draw wide conditions, each spread evenly over its range.

    Parameters
    ----------
    groups : int
        How many: the filters of each visit, one visit after the other; or the darks.
    visits : int
        Their visits, the groups of which have their stars in common; 0 for darks.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    list of Conditions
        One a group. Half of them are post-flashed.
    """
    drawn = {name: _spread(groups, limits, rng) for name, limits in WIDE.items()}
    if visits:
        drawn["stars"] = np.repeat(_spread(visits, WIDE["stars"], rng), groups // visits)
    flash = rng.permutation(groups) % 2 == 0
    return [Conditions(**{name: float(drawn[name][i]) for name in WIDE}, flash=bool(flash[i])) for i in range(groups)]


def _spread(count: int, limits: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw log-uniform numbers, one in each of `count` equal parts of the range, in random order."""
    # A set has few visits: independent draws would leave gaps, and give darks other silicon than science exposures.
    shares = (rng.permutation(count) + rng.random(count)) / max(count, 1)
    return np.asarray(limits[0] * (limits[1] / limits[0]) ** shares)
