"""Energy loss of charged particles in the silicon of a thinned CCD.

Lengths are in um, energies in keV. ``z`` is the distance from the gates: 0 where
charge is collected, the thickness at the back face.

References: energy loss and its fluctuations, Particle Data Group, "Passage of
particles through matter" (sections 34.2 and 34.3); ESTAR (NIST) for electrons.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PIXEL_UM = 15.0
THICKNESS_UM = 15.5
"""Thickness of the silicon of WFC3/UVIS."""
ELECTRONS_PER_KEV = 1 / 3.65e-3

# Knock-on collisions of a singly charged, fast particle: dN/dE = XI / E^2 per um.
_XI = 0.0178
_HARD_KEV = 1.0
_MAX_KNOCK_KEV = 1500.0
# What remains of the mean loss without collisions above _HARD_KEV. Tuned to measured
# charges: the theory of a minimum-ionising proton gives 0.25, some of it is not collected.
_SOFT_KEV_PER_UM = 0.20
_WORM_KEV = 25.0
_STEP_UM = 1.5
_SHALLOWEST = 0.01


class Deposits(NamedTuple):
    """Charge set free at points in the silicon.

    Attributes
    ----------
    y, x, z : ndarray of float64, shape (N,)
        Position in um; `z` is the distance from the gates.
    electrons : ndarray of float64, shape (N,)
        Charge in electrons.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    z: NDArray[np.float64]
    electrons: NDArray[np.float64]


def straight_tracks(
    count: int, extent: tuple[float, float], rng: np.random.Generator, thickness: float = THICKNESS_UM
) -> tuple[Deposits, Deposits]:
    """Draw tracks of protons and nuclei that cross the whole layer.

    An isotropic flux crosses a plane with a density proportional to the cosine of the
    angle of incidence, so that cosine is the root of a uniform number.

    Parameters
    ----------
    count : int
        Number of tracks.
    extent : tuple of float
        Height and width of the chip in um.
    rng : numpy.random.Generator
        Source of all random numbers.
    thickness : float
        Thickness of the silicon in um.

    Returns
    -------
    deposits : Deposits
        Charge along the tracks.
    knocked_out : Deposits
        Electrons knocked out with enough energy to leave the track: where they start,
        with their kinetic energy as charge.
    """
    cosine = np.maximum(np.sqrt(rng.random(count)), _SHALLOWEST)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    path = thickness / cosine
    across = np.sqrt(1 - cosine**2)
    start_y = rng.uniform(0, extent[0], count)
    start_x = rng.uniform(0, extent[1], count)
    steps = np.ceil(path / _STEP_UM).astype(np.int64)
    track = np.repeat(np.arange(count), steps)
    first = np.cumsum(steps) - steps
    nth = np.arange(len(track)) - first[track]
    length = (path / steps)[track]
    along = (nth + rng.random(len(track))) * length
    y = start_y[track] + along * (across * np.sin(azimuth))[track]
    x = start_x[track] + along * (across * np.cos(azimuth))[track]
    z = np.clip(along * cosine[track], 0, thickness)

    stopping = _stopping_factor(count, rng)[track]
    mean = _SOFT_KEV_PER_UM * stopping * length
    energy = np.maximum(rng.normal(mean, np.sqrt(_XI * stopping * length * _HARD_KEV)), 0)
    knocks = rng.poisson(_XI * stopping * length / _HARD_KEV)
    at = np.repeat(np.arange(len(track)), knocks)
    knock = np.minimum(_HARD_KEV / (1 - rng.random(len(at))), _MAX_KNOCK_KEV)
    wanders = knock > _WORM_KEV
    np.add.at(energy, at[~wanders], knock[~wanders])
    free = at[wanders]
    knocked_out = Deposits(y[free], x[free], z[free], knock[wanders] * ELECTRONS_PER_KEV)
    return Deposits(y, x, z, energy * ELECTRONS_PER_KEV), knocked_out


def electron_walks(
    count: int,
    extent: tuple[float, float],
    rng: np.random.Generator,
    thickness: float = THICKNESS_UM,
    *,
    knocked_out: Deposits | None = None,
) -> Deposits:
    """Let electrons wander through the layer until they stop or leave it.

    The scattering angle of a step is the Gaussian core of multiple scattering
    (Highland's formula without its logarithm); it grows as the electron slows down.

    Parameters
    ----------
    count : int
        Number of electrons that come from outside, with a spectrum 1 / E.
    extent : tuple of float
        Height and width of the chip in um.
    rng : numpy.random.Generator
        Source of all random numbers.
    thickness : float
        Thickness of the silicon in um.
    knocked_out : Deposits, optional
        Electrons that start within the layer, with their energy as charge.

    Returns
    -------
    Deposits
        Charge along the walks.
    """
    position = np.stack(
        [
            rng.uniform(0, extent[0], count),
            rng.uniform(0, extent[1], count),
            np.where(rng.random(count) < 0.5, 0.0, thickness),
        ],
        axis=1,
    )
    energy = 10 ** rng.uniform(np.log10(15.0), np.log10(1000.0), count)
    direction = _isotropic(count, rng)
    # From a face the electron goes inward, with the cosine law of an isotropic flux.
    inward = np.sqrt(rng.random(count)) * np.where(position[:, 2] > 0, -1.0, 1.0)
    direction = _with_cosine(direction, inward)
    if knocked_out is not None:
        inner = np.stack([knocked_out.y, knocked_out.x, knocked_out.z], axis=1)
        position = np.concatenate([position, inner])
        direction = np.concatenate([direction, _isotropic(len(inner), rng)])
        energy = np.concatenate([energy, knocked_out.electrons / ELECTRONS_PER_KEV])
    left: list[NDArray[np.float64]] = []
    while len(energy):
        loss = np.minimum(_electron_stopping(energy) * _STEP_UM, energy)
        position = position + direction * (_STEP_UM * rng.random(len(energy)) * 2)[:, None]
        inside = (position[:, 2] >= 0) & (position[:, 2] <= thickness)
        charge = loss * ELECTRONS_PER_KEV
        left.append(np.column_stack([position, charge])[inside])
        energy = energy - loss
        going = inside & (energy > 0)
        position, direction, energy = position[going], direction[going], energy[going]
        angle = _scattering_angle(energy) * rng.standard_normal(len(energy))
        direction = np.cos(angle)[:, None] * direction + np.sin(angle)[:, None] * _isotropic(len(energy), rng)
        direction /= np.maximum(np.linalg.norm(direction, axis=1), 1e-9)[:, None]
    walked = np.concatenate(left) if left else np.empty((0, 4))
    return Deposits(walked[:, 0], walked[:, 1], walked[:, 2], walked[:, 3])


def point_deposits(
    count: int, extent: tuple[float, float], rng: np.random.Generator, thickness: float = THICKNESS_UM
) -> Deposits:
    """Draw soft photons and electrons that stop where they interact.

    Parameters
    ----------
    count : int
        Number of points.
    extent : tuple of float
        Height and width of the chip in um.
    rng : numpy.random.Generator
        Source of all random numbers.
    thickness : float
        Thickness of the silicon in um.

    Returns
    -------
    Deposits
        One deposit a point; the charges are log-uniform from 60 to 1500 e.
    """
    return Deposits(
        rng.uniform(0, extent[0], count),
        rng.uniform(0, extent[1], count),
        rng.uniform(0, 0.9 * thickness, count),
        10 ** rng.uniform(np.log10(60.0), np.log10(1500.0), count),
    )


def _stopping_factor(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Energy loss of each particle over that of a minimum-ionising proton.

    Most are fast; slow protons lose more, as a power law; helium loses four times as much.
    """
    factor = 0.95 * np.minimum((1 - rng.random(count)) ** -0.33, 15.0)
    helium = rng.random(count) < 0.06
    return np.where(helium, 4 * factor, factor)


def _electron_stopping(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the stopping power of silicon for electrons in keV / um (power law through ESTAR)."""
    return np.maximum(3.9 * (np.maximum(energy, 1.0) / 10) ** -0.72, 0.36)


def _scattering_angle(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Width of the multiple scattering of one step in rad (13.6 MeV / beta c p)."""
    momentum = energy * (energy + 1022) / (energy + 511)
    return np.asarray(np.minimum(13600 / np.maximum(momentum, 1) * np.sqrt(_STEP_UM / 93700), 2.0))


def _isotropic(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw unit vectors (y, x, z)."""
    vectors = rng.standard_normal((count, 3))
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)[:, None])


def _with_cosine(direction: NDArray[np.float64], cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn unit vectors so that their z component is `cosine`."""
    flat = np.hypot(direction[:, 0], direction[:, 1])
    scale = np.sqrt(1 - cosine**2) / np.maximum(flat, 1e-9)
    return np.column_stack([direction[:, 0] * scale, direction[:, 1] * scale, cosine])
