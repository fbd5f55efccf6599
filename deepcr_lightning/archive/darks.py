"""Darks of the same camera, as near in time as there are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.rows import Observation
from deepcr_lightning.archive.search import best_of, day, evenly, products_of
from deepcr_lightning.archive.server import Archive
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.instruments import instrument_of

log = logging.getLogger(__name__)

NEAR = "near"
_SHORTEST = 300.0
"""Seconds; shorter darks have too few CRs to be worth their size."""
_FULL = 0.9
_FAR = 3650.0


@dataclass(frozen=True)
class DarkWishes:
    """Which darks are wanted.

    Attributes
    ----------
    proposal : str, optional
        Number of a dark programme; any by default.
    days : float
        A dark is at most so many days from an exposure.
    most : int
        At most so many for each camera.
    """

    proposal: str | None = None
    days: float = 30.0
    most: int = 12

    def __post_init__(self) -> None:
        if self.proposal is not None and not self.proposal.isdigit():
            raise InputError(f"darks={self.proposal}: must be near, or the number of a dark programme, such as 16568")
        if not self.days > 0:
            raise InputError(f"dark_days={self.days:g}: must be positive")
        if self.most < 1:
            raise InputError(f"max_darks={self.most}: must be 1 or more")


def find_darks(archive: Archive, science: Sequence[Product], wishes: DarkWishes) -> list[Product]:
    """Find darks for science exposures.

    Parameters
    ----------
    archive : Archive
    science : sequence of Product
    wishes : DarkWishes

    Returns
    -------
    list of Product
        Darks of every camera of the exposures, the nearest for each of them in turn. They are ``_flc`` for ``_flc``
        where the archive has these, else ``_flt``.

    Raises
    ------
    InputError
        If there are none near, or none that is calibrated.
    """
    found: list[Product] = []
    for camera in sorted({one.camera for one in science}):
        found += _of_camera(archive, [one for one in science if one.camera == camera], camera, wishes)
    return found


def nearest_in_turn(times: Sequence[float], darks: Sequence[float], most: int) -> list[int]:
    """Choose darks so that each exposure has near ones.

    Parameters
    ----------
    times, darks : sequence of float
        Starts of the exposures and of the darks, as MJD.
    most : int

    Returns
    -------
    list of int
        Places of at most so many darks, ascending. Every exposure in turn takes the nearest that is left; of more
        exposures than that, some that are spread over their time.
    """
    times = [times[place] for place in evenly(len(times), most)]
    left: set[int] = set(range(len(darks)))
    chosen: list[int] = []
    while left and times and len(chosen) < most:
        for time in times[: most - len(chosen)]:
            if left:
                nearest = min(left, key=lambda place: (abs(darks[place] - time), place))
                left.remove(nearest)
                chosen.append(nearest)
    return sorted(chosen)


def _of_camera(archive: Archive, science: Sequence[Product], camera: str, wishes: DarkWishes) -> list[Product]:
    times = sorted({one.start for one in science})
    near = _observed(archive, times, camera, wishes.days, wishes.proposal)
    if not near:
        raise InputError(_none_near(archive, times, camera, wishes))
    files = products_of(archive, near, "darks")
    suffixes = ["flc", "flt"] if "flc" in {one.suffix for one in science} else ["flt"]
    usable = _full_frames(_one_suffix(files, suffixes))
    if not usable:
        raise InputError(_none_calibrated(files, camera, len(near)))
    return [usable[place] for place in nearest_in_turn(times, [one.start for one in usable], wishes.most)]


def _observed(
    archive: Archive, times: Sequence[float], camera: str, days: float, proposal: str | None
) -> list[Observation]:
    found: dict[str, Observation] = {}
    by_proposal = {} if proposal is None else {"proposal_id": proposal}
    for first, last in _windows(times, days):
        window = {"t_min": [first, last], "target_name": "DARK*", "intentType": "calibration"}
        for one in archive.observations(instrument_name=camera, **window, **by_proposal):
            # DARK-EARTH-CALIB is the dark side of the Earth, a flat field.
            if "EARTH" not in one.target.upper() and one.exposure_time >= _SHORTEST:
                found[one.obsid] = one
    return [one for one in found.values() if min(abs(one.start - time) for time in times) <= days]


def _windows(times: Sequence[float], days: float) -> list[tuple[float, float]]:
    windows: list[tuple[float, float]] = []
    for time in sorted(times):
        if windows and time - days <= windows[-1][1]:
            windows[-1] = (windows[-1][0], time + days)
        else:
            windows.append((time - days, time + days))
    return windows


def _one_suffix(files: Sequence[Product], suffixes: Sequence[str]) -> list[Product]:
    # All of one calibration: a network must not learn which darks are which.
    for suffix in suffixes:
        of_suffix = best_of(files, [suffix])
        if of_suffix:
            return of_suffix
    return []


def _full_frames(darks: Sequence[Product]) -> list[Product]:
    # The table of the archive has no shape; a full frame is the largest file.
    largest = max((one.size for one in darks), default=0)
    return [one for one in darks if one.size <= 0 or one.size >= _FULL * largest]


def _none_near(archive: Archive, times: Sequence[float], camera: str, wishes: DarkWishes) -> str:
    what = f"darks of {camera}" + (f" of proposal {wishes.proposal}" if wishes.proposal else "")
    message = f"darks: there are no {what} within {wishes.days:g} days of the exposures"
    others = _observed(archive, times, camera, _FAR, wishes.proposal)
    if not others:
        return f"{message}, nor within ten years"
    best = min(others, key=lambda one: min(abs(one.start - time) for time in times))
    away = min(abs(best.start - time) for time in times)
    return (
        f"{message}; the nearest is {best.name} of {day(best.start)} (proposal {best.proposal}), {away:.0f} days away: "
        f"set dark_days={int(away) + 1}"
    )


def _none_calibrated(files: Sequence[Product], camera: str, count: int) -> str:
    raw = next((one for one in files if one.suffix == "raw"), None)
    if raw is None:
        return f"darks: the archive has no calibrated files of the {count} darks of {camera} near the exposures"
    pipeline = instrument_of(*camera.split("/")).pipeline
    return (
        f"darks: the {count} darks of {camera} near the exposures are available as _raw only, which is of no use "
        f"in training; fetch them from https://mast.stsci.edu, run {pipeline} {raw.name} on each (of hstcal), and give "
        "the folder"
    )
