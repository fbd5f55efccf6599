"""Sources that move from exposure to exposure, whose excesses lie on a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from deepcr_lightning.labels.significance import Excess

FASTEST = 1000.0
"""Pixels a day: 1.6 arcsec an hour for WFC3/UVIS, as beyond Neptune; faster ones are trails."""

_CLOSE = 1.5
_FLUX_RATIO = 2.0
_EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Blobs:
    """What stands out of one exposure, a row each.

    Attributes
    ----------
    place : ndarray of float64, shape (N, 2)
        Row and column.
    rate : ndarray of float64, shape (N,)
        Electrons a second.
    """

    place: NDArray[np.float64]
    rate: NDArray[np.float64]


def find_blobs(excess: Excess, exposure_time: float) -> tuple[NDArray[np.int32], Blobs]:
    """Take the connected pixels of cosmic rays for one thing each.

    Parameters
    ----------
    excess : Excess
    exposure_time : float
        In seconds.

    Returns
    -------
    numbers : ndarray of int32, shape (H, W)
        Which blob a pixel is of, from 1; 0 for none.
    blobs : Blobs
    """
    numbers, count = ndimage.label(excess.cosmic_ray, _EIGHT_CONNECTED)
    light = np.maximum(np.nan_to_num(excess.electrons), 1e-3)
    every = np.arange(1, count + 1)
    place = np.array(ndimage.center_of_mass(light, numbers, every), np.float64).reshape(-1, 2)
    return numbers, Blobs(place, np.asarray(ndimage.sum_labels(light, numbers, every)) / exposure_time)


def find_moving(ours: Blobs, others: Sequence[Blobs], days: Sequence[float]) -> NDArray[np.bool_]:
    """Find the blobs that most of the other exposures, and two at least, have on a straight line in time.

    Parameters
    ----------
    ours : Blobs
        Blobs of one exposure.
    others : sequence of Blobs
        Blobs of the others, on the pixels of this one.
    days : sequence of float
        Since this exposure, of each of them.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    moving = np.zeros(len(ours.rate), dtype=bool)
    seen = [(blobs, KDTree(blobs.place), t) for blobs, t in zip(others, days, strict=True) if len(blobs.rate) and t]
    # Long exposures have many cosmic rays: by chance two lie on a line with a third.
    needed = max(2, 1 + len(others) / 2)
    for blobs, tree, t in seen if len(moving) else ():
        near = tree.query_ball_point(ours.place, FASTEST * abs(t))
        first = np.repeat(np.arange(len(moving)), [len(found) for found in near])
        second = np.array([j for found in near for j in found], dtype=np.int64)
        alike = _alike(ours.rate[first], blobs.rate[second])
        first, second = first[alike], second[alike]
        speed = (blobs.place[second] - ours.place[first]) / t
        hits = np.zeros(len(first))
        for third, third_tree, third_t in seen:
            distance, at = third_tree.query(ours.place[first] + speed * third_t, distance_upper_bound=_CLOSE)
            at = np.minimum(at, len(third.rate) - 1)
            hits += np.isfinite(distance) & _alike(ours.rate[first], third.rate[at])
        moving[first[hits >= needed]] = True
    return moving


def _alike(rate: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(np.log(rate / other)) < np.log(_FLUX_RATIO)
