"""Cosmic rays by comparing the exposures of a visit: the classic rejection, as a reference for a network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.pointing import read_pointings
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.labels.groups import ENOUGH, Member, group_exposures
from deepcr_lightning.labels.label import label_group

log = logging.getLogger(__name__)


def classic_masks(members: Sequence[Member], settings: ReadSettings) -> dict[Path, list[NDArray[np.bool_]]]:
    """Find cosmic rays by comparison where there are enough exposures to compare.

    Parameters
    ----------
    members : sequence of Member
        Groups are those of one visit, filter and camera; groups of fewer than three are left out.
    settings : ReadSettings

    Returns
    -------
    dict of Path to list of ndarray of bool, shape (H, W)
        For each exposure of a group that is large enough, a mask a chip. A group that does not hold together is left
        out with a warning.
    """
    number: dict[tuple[str, str, str], int] = {}
    for member in members:
        number[_group(member)] = number.get(_group(member), 0) + 1
    enough = [member for member in members if number[_group(member)] >= ENOUGH]
    masks: dict[Path, list[NDArray[np.bool_]]] = {}
    if enough:
        log.info("Classic rejection: %d exposures are compared with the other exposures of their visit", len(enough))
    for group in group_exposures(enough) if enough else ():
        exposures = [read_exposure(member.path, settings) for member in group]
        found = {}
        try:
            for exposure, chips in label_group(exposures, [read_pointings(exposure) for exposure in exposures]):
                found[exposure.path] = [chips[chip.extver].cr for chip in exposure.chips]
        except InputError as error:
            log.warning("%s; not compared with classic rejection", error)
            continue
        masks |= found
    return masks


def _group(member: Member) -> tuple[str, str, str]:
    return member.visit, member.filter, member.camera
