"""Cameras: what goes together in a real one, and how its exposures differ from one another.

A camera keeps its silicon, pixels and electronics; focus or seeing, sky, crowding and guiding change from exposure to
exposure. Drawn one by one, such factors would make cosmic rays of thick silicon beside the sharp stars of a space
telescope, which no camera has, and a network would learn from them that sharp things are stars and broad ones CRs.

Ranges are chosen by hand, wider than any single camera of its kind, from the instrument handbooks of WFC3, ACS, WFPC2
and STIS (STScI) and from real images: the cores and wings of stars, read noise, CRs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.filters import get_filter
from deepcr_lightning.simulation.psf import expected_fwhm

Range = tuple[float, float]


@dataclass(frozen=True)
class Camera:
    """A kind of camera.

    Attributes
    ----------
    instrument, detector : str
        As headers have them.
    fwhm : (float, float)
        Range of the FWHM of stars, in units of that of the filter with WFC3/UVIS for a space telescope, in pixels for
        one on the ground; before pixelation.
    halo : (float, float)
        Range of the share of light that the optics of a space telescope scatter out of the core of a star.
    ground : bool
        Whether the atmosphere shapes the stars, and muons and worms are what hits the silicon.
    silicon, pitch : float
        Thickness over 15.5 um and size of a pixel over 15 um.
    depleted : bool
        Whether an electric field reaches through all of the silicon.
    crs : (float, float)
        Range of the flux of cosmic rays over that in HST's orbit.
    worms : float
        Share of electrons that wander among cosmic rays.
    alphas : float
        Number of alpha particles over that of cosmic rays.
    read_noise, gain : (float, float)
        Ranges in electrons, and electrons per count.
    full_well : float
        Over that of UVIS.
    sky : (float, float)
        Range of the sky: over that of the filter for a space telescope, in electrons / s for one on the ground.
    beta : (float, float)
        Range of the exponent of the Moffat profile that the atmosphere and the lens make; wings fade as it grows.
    trailed : float
        Chance that an exposure was badly guided.
    moving : float
        Chance that sources move across an exposure, each its own way.
    bright : float
        Chance that an exposure has stars so bright that they fill the wells.
    discs : float
        Chance that an exposure has discs and rings with sharp edges, such as planets and shells of gas.
    unflagged : float
        Chance that a science exposure comes without a DQ array, so that nothing says which pixels are bad or full.
    resampled : bool
        Whether its files hold images that were shifted and turned by interpolation, darks included: the CRs of such an
        image were interpolated with it.
    binned : bool
        Whether pixels are added two by two, in pairs along a row or in pairs along a column, before they are read.
    """

    instrument: str
    detector: str
    fwhm: Range
    halo: Range = (0.04, 0.35)
    ground: bool = False
    silicon: float = 1.0
    pitch: float = 1.0
    depleted: bool = False
    crs: Range = (0.8, 1.25)
    worms: float = 0.07
    alphas: float = 0.002
    read_noise: Range = (3.0, 4.0)
    gain: Range = (1.5, 1.6)
    full_well: float = 1.0
    sky: Range = (0.5, 8.0)
    beta: Range = (2.0, 12.0)
    trailed: float = 0.1
    moving: float = 0.15
    bright: float = 0.5
    discs: float = 0.3
    unflagged: float = 0.0
    resampled: bool = False
    binned: bool = False


_BINNINGS = ((2, 2), (1, 2), (2, 1))
# Moving sources of an exposure that has any, in a field of 512 x 512 pixels: with tens of them, networks miss worms.
_MOVING = (1.0, 4.0)
# Discs and bright stars in the same area, and the number of lines that vanes draw through these: two at right angles,
# three, or none, since lenses and some mirrors have no vanes.
_DISCS = (0.7, 6.0)
_BRIGHT = (0.7, 3.0)
_LINES = (0, 2, 2, 2, 3)

_GROUND = Camera(
    "THINNED",
    "CCD",
    (1.5, 8.0),
    ground=True,
    crs=(0.03, 0.6),
    worms=0.25,
    alphas=0.01,
    read_noise=(2.5, 10.0),
    gain=(0.5, 3.0),
    full_well=1.5,
    sky=(0.05, 60.0),
    trailed=0.2,
    unflagged=0.5,
)
_DEPLETED = replace(_GROUND, depleted=True, alphas=0.04)
_WFPC2 = Camera("WFPC2", "WF", (0.55, 1.0), (0.1, 0.6), silicon=0.7, read_noise=(5.0, 8.0), gain=(7.0, 14.0))

CAMERAS: dict[str, Camera] = {
    "wfc3_uvis": Camera("WFC3", "UVIS", (0.85, 1.35)),
    "acs_wfc": Camera("ACS", "WFC", (0.7, 1.1), silicon=1.1, read_noise=(3.7, 5.5), gain=(1.0, 2.0), full_well=1.2),
    "acs_hrc": Camera("ACS", "HRC", (1.2, 1.9), pitch=1.4, read_noise=(4.3, 5.0), gain=(1.1, 2.2)),
    "wfpc2_wf": _WFPC2,
    "wfpc2_pc": replace(_WFPC2, detector="PC", fwhm=(0.7, 1.25), halo=(0.06, 0.4)),
    "stis": Camera("STIS", "CCD", (0.8, 1.4), pitch=1.4, read_noise=(4.5, 8.0), gain=(1.0, 4.1), full_well=2.0),
    "thinned": _GROUND,
    # Lenses of short focus: a few arcseconds a pixel, so that stars are as sharp as in space, with few CRs.
    "short_focus": replace(_GROUND, instrument="LENS", fwhm=(0.9, 2.2), beta=(2.0, 5.0), crs=(0.03, 0.3)),
    "front_illuminated": replace(
        _GROUND, instrument="KAF", fwhm=(1.4, 6.0), silicon=1.3, pitch=0.6, read_noise=(6.0, 18.0), full_well=1.0
    ),
    "lsst": replace(_DEPLETED, instrument="LSST", fwhm=(2.0, 6.0), silicon=6.5, pitch=0.67, worms=0.5),
    "deep_depletion": replace(_DEPLETED, instrument="THICK", silicon=14.0, worms=0.6, gain=(0.7, 4.5)),
}
CAMERAS |= {
    f"{name}_resampled": replace(CAMERAS[name], detector=f"{CAMERAS[name].detector}-RESAMPLED", resampled=True)
    for name in ("acs_wfc", "thinned", "deep_depletion")
}
# As spectrographs and amateurs often read: lines as narrow as stars in space, CRs that end after a few pixels.
CAMERAS |= {
    f"{name}_binned": replace(CAMERAS[name], detector=f"{CAMERAS[name].detector}-BINNED", fwhm=(2.2, 8.0), binned=True)
    for name in ("thinned", "deep_depletion")
}
"""By the name that ``--camera`` takes."""


def get_camera(name: str) -> Camera:
    """Look a camera up by name.

    Parameters
    ----------
    name : str
        Key of `CAMERAS`.

    Returns
    -------
    Camera

    Raises
    ------
    InputError
        If it is not in the table; the message lists the known ones.
    """
    try:
        return CAMERAS[name]
    except KeyError:
        raise InputError(f"unknown camera {name!r}: choose from {', '.join(CAMERAS)}") from None


def draw_exposures(camera: Camera, filters: list[str], visits: int, rng: np.random.Generator) -> list[Conditions]:
    """Draw the conditions of exposures with a camera, each range spread evenly over them.

    Parameters
    ----------
    camera : Camera
    filters : list of str, length N
        Filter of each group of exposures, visit by visit.
    visits : int
        Number of visits, the groups of which have their stars in common; 0 for darks.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    list of Conditions, length N
    """
    count = len(filters)
    ranges = {
        "stars": (0.25, 16.0),
        "light": (0.3, 30.0) if camera.ground else (0.5, 2.0),
        "fwhm": camera.fwhm,
        "halo": camera.halo,
        "beta": camera.beta,
        "sky": camera.sky,
        "crs": camera.crs,
        "read_noise": camera.read_noise,
        "gain": camera.gain,
        "scale": (0.5, 2.0) if camera.ground else (0.9, 1.1),
    }
    drawn = {name: spread(count, limits, rng) for name, limits in ranges.items()}
    if visits:
        drawn["stars"] = np.repeat(spread(visits, ranges["stars"], rng), count // visits)
    trails = np.where(rng.random(count) < camera.trailed, spread(count, (1.0, 30.0), rng), 0.0)
    angles = rng.uniform(0, np.pi, count)
    moving = np.where(rng.random(count) < camera.moving, spread(count, _MOVING, rng), 0)
    chances = rng.random((3, count))
    binnings = rng.integers(len(_BINNINGS), size=count) if camera.binned else None
    # After all other draws, so that what a seed gave before is not changed by them.
    bright = np.where(rng.random(count) < camera.bright, spread(count, _BRIGHT, rng), 0.0)
    discs = np.where(rng.random(count) < camera.discs, spread(count, _DISCS, rng), 0.0)
    made = []
    for i, name in enumerate(filters):
        width = float(drawn["fwhm"][i])
        fwhm_pixels = expected_fwhm(name)
        made.append(
            Conditions(
                # A field has as many stars to the area of a PSF wherever it is seen from.
                stars=float(drawn["stars"][i]) * (min(1.0, (2 / width) ** 2) if camera.ground else 1.0),
                light=float(drawn["light"][i]),
                psf=width / fwhm_pixels if camera.ground else width,
                beta=float(drawn["beta"][i]) if camera.ground else None,
                halo=float(drawn["halo"][i]),
                trail=(float(trails[i]), float(angles[i])),
                moving=int(moving[i]),
                # A telescope that drifts would draw these out as well: they are left to exposures that are guided.
                bright=0.0 if trails[i] else float(bright[i]),
                discs=0.0 if trails[i] else float(discs[i]),
                spikes=_spikes(camera, rng) if bright[i] and not trails[i] else (),
                sky=float(drawn["sky"][i]) / (get_filter(name).sky if camera.ground else 1.0),
                silicon=camera.silicon,
                depleted=camera.depleted,
                pitch=camera.pitch,
                crs=float(drawn["crs"][i]),
                worms=camera.worms,
                alphas=camera.alphas,
                read_noise=float(drawn["read_noise"][i]),
                gain=float(drawn["gain"][i]),
                full_well=camera.full_well,
                flash=not camera.ground and bool(chances[0, i] < 0.5),
                flagged=not visits or bool(chances[2, i] >= camera.unflagged),
                resampled=camera.resampled,
                binning=(1, 1) if binnings is None else _BINNINGS[binnings[i]],
                flattened=bool(chances[1, i] < (0.3 if camera.ground else 0.05)),
                scale=float(drawn["scale"][i]),
                instrument=camera.instrument,
                detector=camera.detector,
            )
        )
    return made


def _spikes(camera: Camera, rng: np.random.Generator) -> tuple[float, ...]:
    """Draw the angles of the spikes of bright stars; those of HST's cameras are diagonal unless the image is turned."""
    if not camera.ground:
        first, lines = (rng.uniform(0, np.pi) if camera.resampled else np.pi / 4), 2
    else:
        first, lines = rng.choice([0.0, np.pi / 4, rng.uniform(0, np.pi), rng.uniform(0, np.pi)]), rng.choice(_LINES)
    return tuple(float(first + np.pi * line / lines) for line in range(int(lines)))


def spread(count: int, limits: Range, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw log-uniform numbers, one in each of `count` equal parts of the range, in random order.

    Parameters
    ----------
    count : int
    limits : (float, float)
        Both positive.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    ndarray of float64, shape (count,)
    """
    # A set has few visits: independent draws would leave gaps.
    shares = (rng.permutation(count) + rng.random(count)) / max(count, 1)
    return np.asarray(limits[0] * (limits[1] / limits[0]) ** shares)
