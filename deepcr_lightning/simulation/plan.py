"""The plan of a simulated set: which exposures it holds, with every number that sets them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation.cameras import CAMERAS, draw_exposures, get_camera
from deepcr_lightning.simulation.chip_defects import FULL_WELL, MEAN_DARK
from deepcr_lightning.simulation.conditions import USUAL, Conditions
from deepcr_lightning.simulation.filters import get_filter
from deepcr_lightning.simulation.stars import DEFAULT_FIELDS, FIELDS

FULL_CHIP = (2051, 4096)
"""Rows and columns of a whole WFC3/UVIS chip."""

CHIP_GAP = 31
"""Rows between the two chips."""

FLASH_RATE = 2.6
"""Post-flash in electrons / s at the simulated lamp current."""

_BACKGROUND = (12.0, 20.0)
_MOST_SKY = 0.3
DITHERS = 2
"""Exposures of a visit in one filter, where nothing else is said."""

_DARKS_PER_VISIT = 2
_FIRST_MJD = 58270.0
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class SetSettings:
    """Everything that a simulated set depends on.

    Attributes
    ----------
    filters : tuple of str
        Filters of the science exposures.
    exposures : int
        Science exposures per filter.
    darks : int
        Number of darks.
    size : tuple of int
        Rows and columns of a chip.
    chips : int
        Chips per exposure: 1 or 2.
    fields : tuple of str
        Field types, one visit after the other.
    exposure_times : tuple of float
        Shortest and longest science exposure in s.
    dark_time : float
        Exposure time of the darks in s.
    seed : int
        Seed of all random numbers.
    conditions : Conditions or str
        Those of all exposures, darks included; or the name of a camera, with which they are drawn for every filter of
        a visit and every dark (`cameras.CAMERAS`).
    dithers : int
        Exposures of a visit in each filter, each at an offset of its own; the last visit has what is left.

    Raises
    ------
    InputError
        If a value is out of range; the message says which and what is allowed.
    """

    filters: tuple[str, ...]
    exposures: int
    darks: int
    size: tuple[int, int] = FULL_CHIP
    chips: int = 2
    fields: tuple[str, ...] = DEFAULT_FIELDS
    exposure_times: tuple[float, float] = (350.0, 1300.0)
    dark_time: float = 900.0
    seed: int = 0
    conditions: Conditions | str = USUAL
    dithers: int = DITHERS

    def __post_init__(self) -> None:
        if not self.filters or len(set(self.filters)) != len(self.filters):
            raise InputError("filters: give at least one, each only once")
        for name in self.filters:
            get_filter(name)
        for field in self.fields or ("",):
            if field not in FIELDS:
                raise InputError(f"unknown field type {field!r}: choose from {', '.join(FIELDS)}")
        if self.exposures < 0 or self.darks < 0 or self.exposures + self.darks < 1:
            raise InputError("exposures and darks: must not be negative, nor both 0")
        height, width = self.size
        if not (16 <= height <= FULL_CHIP[0] and 16 <= width <= FULL_CHIP[1]):
            raise InputError(f"size: must be from 16 x 16 to {FULL_CHIP[0]} x {FULL_CHIP[1]}, got {self.size}")
        if self.dithers < 1:
            raise InputError(f"dithers: must be at least 1, got {self.dithers}")
        if self.chips not in (1, 2):
            raise InputError(f"chips: must be 1 or 2, got {self.chips}")
        if len(self.exposure_times) != 2 or not 0 < self.exposure_times[0] <= self.exposure_times[1]:
            raise InputError("exposure times: give the shortest and the longest, both positive")
        if not self.dark_time > 0:
            raise InputError(f"dark time: must be positive, got {self.dark_time}")
        if self.seed < 0:
            raise InputError(f"seed: must not be negative, got {self.seed}")
        if isinstance(self.conditions, str):
            get_camera(self.conditions)

    @property
    def subarray(self) -> bool:
        """Whether the exposures show less than both whole chips."""
        return self.size != FULL_CHIP or self.chips == 1

    def record(self) -> dict[str, Any]:
        """Return the settings as plain values; usual conditions and dithers go without saying."""
        values = asdict(self)
        if self.conditions == USUAL:
            del values["conditions"]
        if self.dithers == DITHERS:
            del values["dithers"]
        return values

    @property
    def pointing(self) -> tuple[int, int]:
        """Rows and columns that a pointing spans, the gap between the chips included."""
        return self.chips * self.size[0] + (self.chips - 1) * CHIP_GAP, self.size[1]


@dataclass(frozen=True)
class PlannedExposure:
    """One exposure of a set, before it is taken.

    Attributes
    ----------
    index : int
        Number of the exposure in its set; its random numbers derive from it.
    root : str
        Rootname of 9 characters.
    filter_name : str
        Filter; of no meaning for a dark.
    field : str
        Field type, or "dark".
    visit : int
        Number of the visit; its scene derives from it.
    dither : tuple of float
        Offset (y, x) of the pointing in pixels.
    seconds : float
        Exposure time in s.
    flash : float
        Post-flash in electrons.
    mjd : float
        Start, as modified Julian date.
    conditions : Conditions
        What sets it apart.
    """

    index: int
    root: str
    filter_name: str
    field: str
    visit: int
    dither: tuple[float, float]
    seconds: float
    flash: float
    mjd: float
    conditions: Conditions = USUAL

    @property
    def is_dark(self) -> bool:
        """Whether the shutter stays closed."""
        return self.field == "dark"


def plan_set(settings: SetSettings) -> list[PlannedExposure]:
    """List the exposures of a set: science first, visit by visit, then the darks.

    A visit is one pointing; it holds as many dithered exposures in every filter as the settings say.

    Parameters
    ----------
    settings : SetSettings
        The settings of the set.

    Returns
    -------
    list of PlannedExposure
        The exposures, in the order of their indices.
    """
    planned: list[PlannedExposure] = []
    visits = _visits(settings.exposures, settings.dithers)
    conditions = _conditions(settings, list(settings.filters) * len(visits), len(visits), 6)
    for visit, members in enumerate(visits):
        rng = np.random.default_rng([settings.seed, 1, visit])
        field = settings.fields[visit % len(settings.fields)]
        dithers = rng.uniform(-4, 4, (settings.dithers, 2))
        number = 0
        for nth, name in enumerate(settings.filters):
            ours = conditions[visit * len(settings.filters) + nth]
            seconds = float(np.round(np.exp(rng.uniform(*np.log(settings.exposure_times)))))
            seconds = float(np.clip(seconds, *settings.exposure_times))
            # Nobody exposes until the sky fills the wells.
            most = _MOST_SKY * ours.full_well * FULL_WELL[0] / (get_filter(name).sky * seconds)
            ours = replace(ours, sky=min(ours.sky, most))
            sky = ours.sky * get_filter(name).sky * seconds + MEAN_DARK / 3600 * seconds
            flash = _flash(sky, rng) if ours.flash else 0.0
            for member in range(members):
                planned.append(
                    PlannedExposure(
                        index=len(planned),
                        root=_root(_program(settings, dark=False), visit, number),
                        filter_name=name,
                        field=field,
                        visit=visit,
                        dither=(float(dithers[member, 0]), float(dithers[member, 1])),
                        seconds=seconds,
                        flash=flash,
                        mjd=_FIRST_MJD + 0.7 * visit + 0.018 * number,
                        conditions=ours,
                    )
                )
                number += 1
    # Darks are few: each has conditions of its own, so that those of one side of a split cover their ranges.
    conditions = _conditions(settings, [settings.filters[0]] * settings.darks, 0, 7)
    for visit, members in enumerate(_visits(settings.darks, _DARKS_PER_VISIT)):
        rng = np.random.default_rng([settings.seed, 2, visit])
        flash = _flash(MEAN_DARK / 3600 * settings.dark_time, rng)
        for member in range(members):
            ours = conditions[_DARKS_PER_VISIT * visit + member]
            planned.append(
                PlannedExposure(
                    index=len(planned),
                    root=_root(_program(settings, dark=True), visit, member),
                    filter_name=settings.filters[0],
                    field="dark",
                    visit=visit,
                    dither=(0.0, 0.0),
                    seconds=settings.dark_time,
                    flash=flash if ours.flash else 0.0,
                    mjd=_FIRST_MJD + 0.35 + 0.7 * visit + 0.018 * member,
                    conditions=ours,
                )
            )
    return planned


def _conditions(settings: SetSettings, filters: list[str], visits: int, stream: int) -> list[Conditions]:
    """Conditions of each filter of each visit."""
    if isinstance(settings.conditions, Conditions):
        return [settings.conditions] * len(filters)
    camera = get_camera(settings.conditions)
    return draw_exposures(camera, filters, visits, np.random.default_rng([settings.seed, stream]))


def _visits(exposures: int, most: int) -> Sequence[int]:
    """Share exposures out over visits of up to `most`."""
    full, rest = divmod(exposures, most)
    return [most] * full + [rest] * (rest > 0)


def _flash(background: float, rng: np.random.Generator) -> float:
    """Post-flash in electrons that lifts a background to 12-20 e; the lamp ticks in 0.1 s."""
    wanted = max(0.0, float(rng.uniform(*_BACKGROUND)) - background)
    return float(np.ceil(10 * wanted / FLASH_RATE) / 10 * FLASH_RATE)


def _program(settings: SetSettings, dark: bool) -> str:
    """First four letters of rootnames: sets of several cameras and seeds train together, and share no name."""
    if isinstance(settings.conditions, Conditions):
        return "idrk" if dark else "isim"
    letter = _DIGITS[10 + list(CAMERAS).index(settings.conditions)]
    first, second = divmod(settings.seed % len(_DIGITS) ** 2, len(_DIGITS))
    return f"{letter}{'d' if dark else 's'}{_DIGITS[first]}{_DIGITS[second]}"


def _root(program: str, visit: int, number: int) -> str:
    """Rootname: program, visit, exposure, and q for normal tracking."""
    visit += 1
    if visit >= len(_DIGITS) ** 2:
        raise InputError("too many exposures: a set has room for 1295 visits")
    first, second = divmod(number + 1, len(_DIGITS))
    code = _DIGITS[visit // len(_DIGITS)] + _DIGITS[visit % len(_DIGITS)]
    return f"{program}{code}{_DIGITS[first + 10]}{_DIGITS[second]}q"
