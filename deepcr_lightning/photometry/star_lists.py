"""Stars of a field in one filter or two, and which of them two lists share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

MATCH_RADIUS = 1.0
"""Pixels within which two stars are one."""
_REACH = 12.0
_BRIGHTEST = 400
_FEWEST = 8


@dataclass(frozen=True, eq=False)
class Stars:
    """Good stars of a chip.

    Attributes
    ----------
    y, x : ndarray of float64, shape (N,)
        In pixels of the first filter.
    magnitudes : ndarray of float64, shape (N, filters)
    real : ndarray of bool, shape (N,)
        Whether the truth knows them; all True where there is none.
    struck : ndarray of bool, shape (N,), optional
        Whether a true CR lies on their core in any filter; None where there is no truth.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    magnitudes: NDArray[np.float64]
    real: NDArray[np.bool_]
    struck: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def colour(self) -> NDArray[np.float64]:
        """First filter minus last, in mag; 0 where there is one only."""
        return np.asarray(self.magnitudes[:, 0] - self.magnitudes[:, -1])

    @property
    def places(self) -> NDArray[np.float64]:
        """Positions, shape (N, 2)."""
        return np.column_stack([self.y, self.x])


def find_shift(first: Table, second: Table) -> tuple[float, float]:
    """Find how far the stars of one list lie from the same stars in another.

    Parameters
    ----------
    first, second : astropy.table.Table
        With ``y``, ``x`` (pixels) and ``magnitude``.

    Returns
    -------
    (float, float)
        Rows and columns to add to the first to come to the second; 0 where too few stars agree on any shift of up
        to 12 pixels.
    """
    ours, theirs = (_brightest(table) for table in (first, second))
    if min(len(ours), len(theirs)) < _FEWEST:
        return 0.0, 0.0
    near = cKDTree(theirs).query_ball_point(ours, _REACH)
    differences = np.concatenate([theirs[some] - place for place, some in zip(ours, near, strict=True)])
    if len(differences) < _FEWEST:
        return 0.0, 0.0
    tree = cKDTree(differences)
    crowd = np.array([len(some) for some in tree.query_ball_point(differences, 0.5)])
    # By chance, this many differences lie in a circle of half a pixel.
    by_chance = len(differences) * (0.5 / _REACH) ** 2
    if crowd.max() < _FEWEST + by_chance + 5 * np.sqrt(by_chance):
        return 0.0, 0.0
    best = differences[tree.query_ball_point(differences[np.argmax(crowd)], 0.5)]
    dy, dx = np.median(best, axis=0)
    return float(dy), float(dx)


def join_filters(
    catalogues: Sequence[Table],
    shift: tuple[float, float] = (0.0, 0.0),
    truth: Sequence[Table] | None = None,
    cosmic_rays: Sequence[NDArray[np.bool_]] | None = None,
) -> Stars:
    """Join the good stars of one filter or two.

    Parameters
    ----------
    catalogues : sequence of astropy.table.Table
        One or two, with ``y``, ``x`` (pixels) and ``magnitude``.
    shift : (float, float)
        From the first to the second.
    truth : sequence of astropy.table.Table, optional
        True stars in each filter, with the same columns and zero-point.
    cosmic_rays : sequence of ndarray of bool, shape (H, W), optional
        True CR pixels in each filter.

    Returns
    -------
    Stars
        With two filters, those that both have within a pixel.
    """
    first = catalogues[0]
    places = [_places(table) for table in catalogues]
    members = [np.arange(len(first))]
    if len(catalogues) == 2:
        partner = match(places[0] + shift, places[1])
        members = [np.flatnonzero(partner >= 0), partner[partner >= 0]]
    magnitudes = np.column_stack(
        [np.asarray(table["magnitude"], float)[some] for table, some in zip(catalogues, members, strict=True)]
    )
    real = np.ones(len(magnitudes), bool)
    for nth, known in enumerate(truth or ()):
        real &= _known(places[nth][members[nth]], magnitudes[:, nth], known)
    struck = None if cosmic_rays is None else np.zeros(len(magnitudes), bool)
    for nth, hit in enumerate(cosmic_rays or ()):
        near = binary_dilation(hit, np.ones((3, 3), bool))
        row, column = np.clip(np.rint(places[nth][members[nth]]).astype(int), 0, np.array(hit.shape) - 1).T
        struck |= near[row, column]
    return Stars(places[0][members[0], 0], places[0][members[0], 1], magnitudes, real, struck)


def match(ours: NDArray[np.float64], theirs: NDArray[np.float64], radius: float = MATCH_RADIUS) -> NDArray[np.int64]:
    """Match two lists of positions: each other's nearest, within a radius.

    Parameters
    ----------
    ours, theirs : ndarray of float64, shape (N, 2) and (M, 2)
        In pixels.
    radius : float
        In pixels.

    Returns
    -------
    ndarray of int64, shape (N,)
        Index of the partner in `theirs`, -1 without one.
    """
    partner = np.full(len(ours), -1, np.int64)
    if not len(ours) or not len(theirs):
        return partner
    distance, there = cKDTree(theirs).query(ours)
    _, back = cKDTree(ours).query(theirs)
    mutual = (back[there] == np.arange(len(ours))) & (distance < radius)
    partner[mutual] = there[mutual]
    return partner


def _known(places: NDArray[np.float64], magnitude: NDArray[np.float64], truth: Table) -> NDArray[np.bool_]:
    """Whether a true star lies within a pixel and is as bright within 0.75 mag: twice the light is two stars."""
    near = cKDTree(_places(truth)).query_ball_point(places, MATCH_RADIUS) if len(places) else []
    true = np.asarray(truth["magnitude"], float)
    pairs = zip(near, magnitude, strict=True)
    return np.array([bool(some) and bool((np.abs(true[some] - one) < 0.75).any()) for some, one in pairs], bool)


def _places(table: Table) -> NDArray[np.float64]:
    return np.column_stack([np.asarray(table["y"], float), np.asarray(table["x"], float)])


def _brightest(table: Table) -> NDArray[np.float64]:
    return _places(table)[np.argsort(np.asarray(table["magnitude"], float))[:_BRIGHTEST]]
