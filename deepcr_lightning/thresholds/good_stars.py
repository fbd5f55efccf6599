"""Which stars are good: the cuts of the PHAT family of surveys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from omegaconf import OmegaConf

from deepcr_lightning.console.yaml_file import load_yaml
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.cards import as_number

NEEDED = ("y", "x", "magnitude", "signal_to_noise", "sharpness", "crowding")
"""Columns of a catalogue in one filter."""


@dataclass(frozen=True)
class Cuts:
    """What a good star must have in each filter used.

    Attributes
    ----------
    signal_to_noise : float
        More than this.
    sharpness_squared : float
        Less than this.
    crowding : float
        Less than this, in mag.

    Raises
    ------
    InputError
        If a limit is negative.

    References
    ----------
    Williams et al. 2014, ApJS 215, 9.
    """

    signal_to_noise: float = 4.0
    sharpness_squared: float = 0.15
    crowding: float = 1.30

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise InputError(f"cuts: {name} is {value}; give a number of 0 or more")


PHAT = {"WFC3 UVIS": Cuts(), "ACS WFC": Cuts(sharpness_squared=0.20, crowding=2.25)}
"""Cuts by instrument and detector."""


def choose_cuts(value: str | Path | Mapping[str, Any] | None, camera: str) -> Cuts:
    """Take the cuts that a config names.

    Parameters
    ----------
    value : str, Path, mapping or None
        A YAML file or a mapping of the names of `Cuts`; None for those of the camera.
    camera : str
        Instrument and detector; those that PHAT did not use take the cuts of WFC3/UVIS.

    Returns
    -------
    Cuts

    Raises
    ------
    InputError
        If the file cannot be read, or names what is no cut.
    """
    if value is None:
        return PHAT.get(" ".join(camera.split()[:2]), Cuts())
    given: Any = value
    if isinstance(value, str | Path):
        try:
            given = OmegaConf.to_container(load_yaml(Path(value).expanduser()), resolve=False)
        except InputError as error:
            raise InputError(f"cuts={error}; name a YAML file") from error
    known = [field.name for field in fields(Cuts)]
    if not isinstance(given, Mapping) or not set(given) <= set(known):
        raise InputError(f"cuts={value}: give some of {', '.join(known)}, each with its limit")
    limits = {name: as_number(limit) for name, limit in given.items()}
    if None in limits.values():
        raise InputError(f"cuts={value}: a limit is not a number")
    return Cuts(**limits)  # type: ignore[arg-type]


def good_stars(catalogue: Table, cuts: Cuts, name: str) -> NDArray[np.bool_]:
    """Tell the good stars of a catalogue in one filter.

    Parameters
    ----------
    catalogue : astropy.table.Table
        With the columns `NEEDED`.
    cuts : Cuts
    name : str
        Name of the catalogue, for messages.

    Returns
    -------
    ndarray of bool, shape (N,)

    Raises
    ------
    InputError
        If columns are missing; the message names them.
    """
    missing = [column for column in NEEDED if column not in catalogue.colnames]
    if missing:
        raise InputError(f"{name}: has no column {', '.join(missing)}; it has {', '.join(catalogue.colnames)}")
    good = np.asarray(catalogue["signal_to_noise"], float) > cuts.signal_to_noise
    good &= np.asarray(catalogue["sharpness"], float) ** 2 < cuts.sharpness_squared
    good &= np.asarray(catalogue["crowding"], float) < cuts.crowding
    return good & np.isfinite(np.asarray(catalogue["magnitude"], float))
