"""What a reduction does to a calibrated chip: no DQ, interpolation, a subtracted sky, a gain known badly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.exposures.dq import WFC3DQ
from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.readout import ChipFrame
from deepcr_lightning.simulation.simulated_files import SimulatedChip

_TURN = 0.03
_STRETCH = 0.06


def reduced(chip: SimulatedChip, conditions: Conditions, rng: np.random.Generator) -> SimulatedChip:
    """Reduce a chip further, as its conditions say.

    Parameters
    ----------
    chip : SimulatedChip
    conditions : Conditions
        With ``flagged``, ``resampled``, ``flattened`` and ``scale``.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    SimulatedChip
        Image and true charge, changed alike.
    """
    frame, charge = chip.frame, chip.cosmic_rays
    if not conditions.flagged:
        # No one can see the charge of a CR in a pixel that is full, and nothing says that it is.
        full = (frame.dq & (WFC3DQ.SATURATED.value | WFC3DQ.AD_SATURATED.value)) != 0
        frame, charge = replace(frame, dq=np.zeros_like(frame.dq)), np.where(full, np.float32(0), charge)
    if conditions.resampled:
        frame, charge = _resampled(SimulatedChip(frame, charge), rng)
    if conditions.flattened:
        frame = replace(frame, science=frame.science - np.median(frame.science))
    if conditions.scale != 1:
        factor = np.float32(conditions.scale)
        planes = {name: getattr(frame, name) * factor for name in ("science", "error", "noise")}
        frame, charge = replace(frame, **planes), charge * factor
    return SimulatedChip(frame, charge)


def _resampled(chip: SimulatedChip, rng: np.random.Generator) -> tuple[ChipFrame, NDArray[np.float32]]:
    """Shift, turn and stretch a chip a little, by linear or cubic interpolation."""
    angle, stretch = rng.normal(0, _TURN), 1 + rng.uniform(-_STRETCH, _STRETCH)
    matrix = stretch * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array(chip.cosmic_rays.shape) / 2
    offset = middle - matrix @ middle + rng.uniform(-0.5, 0.5, 2)
    order = int(rng.choice([1, 3]))

    def moved(plane: NDArray[np.generic], degree: int = order) -> NDArray[np.float32]:
        return ndimage.affine_transform(plane.astype(np.float32), matrix, offset, order=degree, mode="mirror")

    frame = chip.frame
    dq = ndimage.affine_transform(frame.dq, matrix, offset, order=0, mode="mirror")
    # What an unusable pixel lends a part of its value to is unusable as well.
    for bit in (WFC3DQ.HOT, WFC3DQ.SATURATED, WFC3DQ.BAD_DETECTOR):
        dq[moved((frame.dq & bit.value) != 0, 1) > 0.01] |= bit.value
    planes = {name: moved(getattr(frame, name)) for name in ("science", "error", "noise")}
    return replace(frame, dq=dq, **planes), moved(chip.cosmic_rays)
