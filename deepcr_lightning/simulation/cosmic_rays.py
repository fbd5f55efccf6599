"""Cosmic-ray (CR) charge in a thinned CCD, from particle tracks.

Three kinds of particle cross the silicon. Protons and nuclei go straight and lose
energy with Landau-like fluctuations; electrons knocked out of the spacecraft and of
the silicon itself wander ("worms"); soft photons and electrons leave a point.
Free charge then diffuses on its way to the gates: more for charge set free deep
below them, so an inclined track is sharp at one end and blurred at the other.

The figures are those of WFC3/UVIS (15 um pixels); fluxes, charges and sizes are
tuned to CR events measured in 200 s UVIS exposures of 2018 (program 15460).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from deepcr_lightning.simulation.alphas import add_alphas
from deepcr_lightning.simulation.conditions import USUAL, Conditions
from deepcr_lightning.simulation.silicon import (
    PIXEL_UM,
    THICKNESS_UM,
    Deposits,
    electron_walks,
    point_deposits,
    straight_tracks,
)

CR_RATE = 1.4
"""Mean CR flux in events / s / cm^2 (WFC3/UVIS; 1.2 to 1.4 through the solar cycle)."""

KIND_SHARES = {"tracks": 0.90, "electrons": 0.07, "points": 0.03}
"""Share of the events that each kind of particle makes."""

# Diffusion at the gates, what a uniform depth adds at the back face, and how much wider
# charge spreads that is set free in the field-free layer behind the depleted silicon.
_DIFFUSION_FLOOR_PX = 0.05
_DIFFUSION_BACK_PX = 0.62
_FIELD_FREE_DEPTH = 0.9
_FIELD_FREE_SPREAD = 1.7
# Spread of charge that drifts through all of a depleted CCD, whatever its thickness: voltages grow with it.
_DEPLETED_BACK_UM = 6.5
# Pixels over which charge spreads.
_REACH = 3


def draw_cosmic_rays(
    shape: tuple[int, int],
    seconds: float,
    rng: np.random.Generator,
    conditions: Conditions = USUAL,
    rate: float = CR_RATE,
) -> NDArray[np.float32]:
    """Draw the CR charge that one chip collects in one exposure.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the chip.
    seconds : float
        Time during which CR charge gathers, in s: the exposure, the post-flash
        and the wait for read-out.
    rng : numpy.random.Generator
        Source of all random numbers.
    conditions : Conditions
        With the silicon, the pixels, and the flux and the kinds of CRs.
    rate : float
        CR flux in HST's orbit in events / s / cm^2.

    Returns
    -------
    ndarray of float32, shape (H, W)
        CR charge in electrons: no noise, no saturation, no transfer losses.

    Raises
    ------
    ValueError
        If the time or the rate is negative.
    """
    if seconds < 0 or rate < 0:
        raise ValueError(f"time and rate must not be negative, got {seconds} s and {rate}")
    height, width = shape
    pixel_um = conditions.pitch * PIXEL_UM
    events = conditions.crs * rate * seconds * height * width * (pixel_um * 1e-4) ** 2
    others = 1 - KIND_SHARES["electrons"]
    shares = {kind: share * (1 - conditions.worms) / others for kind, share in KIND_SHARES.items()}
    counts = {
        kind: int(rng.poisson(events * share)) for kind, share in (shares | {"electrons": conditions.worms}).items()
    }
    extent = (height * pixel_um, width * pixel_um)
    thickness = conditions.silicon * THICKNESS_UM
    tracks, deltas = straight_tracks(counts["tracks"], extent, rng, thickness)
    electrons = electron_walks(counts["electrons"], extent, rng, thickness, knocked_out=deltas)
    points = point_deposits(counts["points"], extent, rng, thickness)
    # A margin takes the charge that diffuses past the edge, so that nothing needs a check.
    reach = _REACH if conditions.depleted else math.ceil(_REACH * math.sqrt(conditions.silicon))
    image = np.zeros((height + 2 * reach, width + 2 * reach), dtype=np.float64)
    for deposits in (tracks, electrons, points):
        _collect(image, deposits, conditions, reach)
    charge = image[reach:-reach, reach:-reach]
    if conditions.alphas:
        add_alphas(charge, int(rng.poisson(events * conditions.alphas)), conditions.pitch, rng)
    return charge.astype(np.float32)


def trail_charge(
    image: NDArray[np.float32], loss: float, *, readout_row: int = 0, rows: int = 2051
) -> NDArray[np.float32]:
    """Smear charge behind its pixel, as imperfect charge transfer (CTE) does.

    A packet of 1000 e loses the fraction `loss` over a whole chip of transfers;
    small packets lose a larger share, as ``charge ** -0.4``. Traps release what
    they hold within a few pixels on the side away from the read-out.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W)
        Charge in electrons.
    loss : float
        Fraction lost by 1000 e over `rows` transfers.
    readout_row : int
        0 if the chip is read out over its first row, -1 if over its last.
    rows : int
        Number of transfers from the far edge of the chip.

    Returns
    -------
    ndarray of float32, shape (H, W)
        The trailed charge. Charge trailed past the edge of the frame is gone.
    """
    charge = image if readout_row == 0 else image[::-1]
    transfers = (np.arange(1, image.shape[0] + 1, dtype=np.float32) / rows)[:, None]
    lost = np.zeros_like(charge)
    row, column = np.nonzero(charge > 1)
    packets = charge[row, column]
    shares = np.minimum(loss * transfers[row, 0] * (packets / 1000) ** -0.4, 0.5)
    lost[row, column] = packets * shares
    trailed = charge - lost
    weights = np.exp(-np.arange(12) / 3.0).astype(np.float32)
    weights /= weights.sum()
    for behind, weight in enumerate(weights[: image.shape[0] - 1], start=1):
        trailed[behind:] += weight * lost[:-behind]
    return np.ascontiguousarray(trailed if readout_row == 0 else trailed[::-1])


def _collect(image: NDArray[np.float64], deposits: Deposits, conditions: Conditions, reach: int) -> None:
    """Diffuse deposits to the gates and add them to the padded image, in place."""
    y = deposits.y / (conditions.pitch * PIXEL_UM) + reach
    x = deposits.x / (conditions.pitch * PIXEL_UM) + reach
    height, width = image.shape
    inside = (y >= reach) & (y < height - reach) & (x >= reach) & (x < width - reach)
    y, x = y[inside], x[inside]
    depth = deposits.z[inside] / (conditions.silicon * THICKNESS_UM)
    if conditions.depleted:
        # In an electric field the square of the spread grows with the time of the drift.
        back = _DEPLETED_BACK_UM / (conditions.pitch * PIXEL_UM)
        sigma = np.sqrt(_DIFFUSION_FLOOR_PX**2 + back**2 * depth)
    else:
        # The time that charge drifts, and the square of its spread, grow with the way to the gates.
        back = math.sqrt(conditions.silicon) * _DIFFUSION_BACK_PX / conditions.pitch
        sigma = np.sqrt(_DIFFUSION_FLOOR_PX**2 + back**2 * depth**3)
        sigma = np.where(depth > _FIELD_FREE_DEPTH, _FIELD_FREE_SPREAD * sigma, sigma)
    row = np.floor(y).astype(np.int64)
    column = np.floor(x).astype(np.int64)
    in_rows = _pixel_shares(y - row, sigma, reach)
    in_columns = _pixel_shares(x - column, sigma, reach) * deposits.electrons[inside][:, None]
    flat = image.reshape(-1)
    corner = (row - reach) * width + column - reach
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            np.add.at(flat, corner + (dy * width + dx), in_rows[:, dy] * in_columns[:, dx])


def _pixel_shares(position: NDArray[np.float64], sigma: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Integrate a 1-D Gaussian at `position` (0..1 in its pixel) over the pixels around it."""
    edges = np.arange(-reach, reach + 2)
    shares: NDArray[np.float64] = np.diff(ndtr((edges - position[:, None]) / sigma[:, None]), axis=1)
    return shares
