"""Real CRs put into every real image: what no set of them happens to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
from real_sky_changes import Change
from real_training import THICK, UVIS, Event, put, read_events

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.chip import Chip
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import ChipTruth

EVENTS = {"uvis": UVIS, "thick": THICK}
"""Tables of events below the folder with the data: of WFC3/UVIS, and of a CCD of 100 um of silicon."""
_SHARE = 0.015
_NOISE = 5.6
"""Electrons, of a pixel of the sky in the exposures that the UVIS events come from."""
_CHARGE = (0.1, 3.0)
_LABEL, _FAINT = 2.0, 0.5


def open_events(kind: str, data: Path) -> list[Event]:
    """Read the events of a kind.

    Parameters
    ----------
    kind : str
        Name of a table in `EVENTS`.
    data : Path
        Folder that holds the tables.

    Returns
    -------
    list of Event

    Raises
    ------
    InputError
        If their table is missing.
    """
    if not (data / EVENTS[kind]).is_file():
        raise InputError(f"--struck {kind}: {data} has no {EVENTS[kind]}")
    return read_events(data / EVENTS[kind])


def struck(events: Sequence[Event]) -> Change:
    """Put events into a chip, until they touch 1.5 % of it.

    As bright against the noise of the chip as they were in exposures of WFC3/UVIS, times 0.1 to 3, log-uniform.

    Parameters
    ----------
    events : sequence of Event

    Returns
    -------
    callable
        Of a chip and its truth. A pixel is a CR as well where more than twice its own noise was added, and ignored
        where more than half of the chip's noise was; the same events at the same places in every run.
    """

    def change(chip: Chip, truth: ChipTruth) -> tuple[Chip, ChipTruth]:
        usable = ~chip.unusable
        sky, noise = sky_and_noise(chip.electrons, usable)
        rng = np.random.default_rng(crc32(np.ascontiguousarray(chip.electrons)))
        light = np.where(usable, chip.electrons, sky)
        own_noise = np.sqrt(noise**2 + np.maximum(light - sky, 0))
        added, size = np.zeros(light.shape), noise / _NOISE
        while np.count_nonzero(added > _LABEL * noise) < _SHARE * added.size:
            charge = size * np.exp(rng.uniform(*np.log(_CHARGE)))
            put(added, events[rng.integers(len(events))], charge, turned=True, rng=rng)
        added[chip.saturated] = 0
        cr, faint = added > _LABEL * own_noise, added > _FAINT * noise
        known = ChipTruth(truth.cr | cr, (truth.ignore & ~cr) | (faint & ~cr & ~truth.cr))
        return replace(chip, electrons=(chip.electrons + added).astype(np.float32)), known

    return change
