"""Point-spread function (PSF) of WFC3/UVIS, integrated over pixels.

The diffraction pattern of the obscured aperture is the squared modulus of the Fourier
transform of the pupil (Goodman, "Introduction to Fourier Optics", section 6.1), averaged
over the band. Jitter, micro-roughness and charge diffusion blur it to the width that the
WFC3 Instrument Handbook (table 6.7) gives for each wavelength.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from deepcr_lightning.simulation.filters import Filter, get_filter

PHASES = 8
"""Sub-pixel positions per axis at which the PSF is tabulated."""

RADIUS = 60
"""Half-size of the largest stamp in pixels."""

_SIZE_PX = 128
_PIXEL_RAD = 0.04 * np.pi / 648000
_APERTURE_M = 2.4
_OBSCURATION = 0.33
_VANE = 0.022
_COMA_TILT = 3 * (1 + _OBSCURATION**2)
HALO = 0.07
"""Share of the light that mid-frequency polishing errors scatter out of the core; it and the radius are set so that the
encircled energy beyond 0.2 arcsec is near that of TinyTim."""
HALO_PX = 4.0
"""Radius of that halo in pixels, where stars are as wide as those of WFC3/UVIS or wider."""

_TABLE_NM = (200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100)
_TABLE_FWHM = (2.069, 1.870, 1.738, 1.675, 1.681, 1.746, 1.844, 1.960, 2.091, 2.236)
_FWHM_OVER_SIGMA = 2.3548


def expected_fwhm(filter_name: str) -> float:
    """Full width at half maximum of the PSF before pixelation.

    Parameters
    ----------
    filter_name : str
        Name of a filter.

    Returns
    -------
    float
        FWHM in pixels at the pivot wavelength (WFC3 Instrument Handbook, table 6.7).
    """
    return float(np.interp(get_filter(filter_name).pivot_nm, _TABLE_NM, _TABLE_FWHM))


@lru_cache(maxsize=16)
def psf_stamps(
    filter_name: str,
    width: float = 1.0,
    beta: float | None = None,
    trail: tuple[float, float] = (0.0, 0.0),
    halo: float = HALO,
) -> NDArray[np.float32]:
    """Tabulate the pixel-integrated PSF of a filter at sub-pixel positions.

    Parameters
    ----------
    filter_name : str
        Name of a filter.
    width : float
        Factor on the FWHM. What is narrower than the telescope can make it is seen by coarser pixels.
    beta : float, optional
        Exponent of a Moffat profile, which is what the atmosphere makes (Moffat 1969, A&A 3, 455; Trujillo et al. 2001,
        MNRAS 328, 977); the optics of HST by default.
    trail : (float, float)
        Length in pixels of the line that each star draws while the telescope drifts, and its angle to the rows in rad.
    halo : float
        Share of the light that the optics of HST scatter out of the core.

    Returns
    -------
    ndarray of float32, shape (PHASES, PHASES, 2 * RADIUS + 1, 2 * RADIUS + 1)
        Share of the star's light in each pixel. Stamp ``[i, j]`` is of a star that lies
        ``(i + 0.5) / PHASES - 0.5`` pixels above and ``(j + 0.5) / PHASES - 0.5`` pixels to
        the right of the middle of the central pixel.

    Raises
    ------
    InputError
        If the filter is unknown.
    """
    band = get_filter(filter_name)
    fwhm = width * expected_fwhm(filter_name)
    if beta is None:
        coarse = min(width, 1.0)
        fine = _blurred(_scattered(_diffraction(band, _PIXEL_RAD / coarse), halo, coarse * HALO_PX), fwhm)
    else:
        fine = _moffat(fwhm, beta)
    if trail[0] > 0:
        fine = _trailed(fine, *trail)
    # The mean over a pixel, at every fine position: a box filter of PHASES samples.
    ahead = np.cumsum(np.cumsum(np.pad(fine, ((1, 0), (1, 0))), axis=0), axis=1)
    boxed = ahead[PHASES:, PHASES:] - ahead[:-PHASES, PHASES:] - ahead[PHASES:, :-PHASES] + ahead[:-PHASES, :-PHASES]
    # boxed[k] covers fine samples k .. k + PHASES - 1; the star is at sample `centre`.
    centre = PHASES * _SIZE_PX // 2
    side = 2 * RADIUS + 1
    stamps = np.empty((PHASES, PHASES, side, side), dtype=np.float32)
    for i in range(PHASES):
        for j in range(PHASES):
            top = centre - i - PHASES * RADIUS
            left = centre - j - PHASES * RADIUS
            stamps[i, j] = boxed[top : top + PHASES * side : PHASES, left : left + PHASES * side : PHASES]
    stamps.flags.writeable = False
    return stamps


@lru_cache(maxsize=16)  # a set of wide conditions asks for many widths of each filter
def _diffraction(band: Filter, pixel_rad: float) -> NDArray[np.float64]:
    """Average the diffraction pattern over the band, on a grid of PHASES samples a pixel."""
    samples = PHASES * _SIZE_PX
    pattern = np.zeros((samples, samples))
    step = (np.arange(samples) - samples // 2)[None, :]
    for nm in band.wavelengths_nm:
        diameter = samples * _APERTURE_M * (pixel_rad / PHASES) / (nm * 1e-9)
        x = step / (diameter / 2)
        y = x.T
        radius = np.hypot(x, y)
        edge = 2 / diameter
        pupil = np.clip((1 - radius) / edge + 0.5, 0, 1)
        pupil *= np.clip((radius - _OBSCURATION) / edge + 0.5, 0, 1)
        # Four vanes at 45 degrees to the rows of the chip, as WFC3 sees them.
        for across in ((x + y) / np.sqrt(2), (x - y) / np.sqrt(2)):
            pupil *= np.clip((np.abs(across) - _VANE / 2) / edge + 0.5, 0, 1)
        # A little coma and astigmatism (waves at 547 nm), as phase retrieval finds. The tilt in
        # the coma keeps the centroid in place: its mean slope over the annulus is nil.
        waves = 547 / nm * (0.03 * (3 * radius**2 - _COMA_TILT) * y + 0.02 * (x**2 - y**2) * 2.4)
        field = fft.fft2(fft.ifftshift(pupil * np.exp(2j * np.pi * waves)).astype(np.complex64))
        intensity = np.abs(fft.fftshift(field)).astype(np.float64) ** 2
        pattern += intensity / intensity.sum()
    return pattern / pattern.sum()


def _scattered(pattern: NDArray[np.float64], share: float, radius: float) -> NDArray[np.float64]:
    """Scatter a share of the light of a pattern into a halo of this radius (pixels)."""
    step = (np.arange(len(pattern)) - len(pattern) // 2)[None, :]
    distance = np.hypot(step, step.T) / (PHASES * radius)
    halo: NDArray[np.float64] = (1 + distance**2) ** -1.5
    mixed: NDArray[np.float64] = (1 - share) * pattern
    mixed += share * halo / halo.sum()
    return mixed


def _moffat(fwhm: float, beta: float) -> NDArray[np.float64]:
    """Make a Moffat profile of this FWHM (pixels), on a grid of PHASES samples a pixel."""
    place = (np.arange(PHASES * _SIZE_PX) - PHASES * _SIZE_PX // 2) / PHASES
    core = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    profile = (1 + (place[:, None] ** 2 + place**2) / core**2) ** -beta
    return np.asarray(profile / profile.sum())


def _trailed(pattern: NDArray[np.float64], length: float, angle: float) -> NDArray[np.float64]:
    """Draw a pattern out along a line of this length (pixels)."""
    frequency = fft.fftfreq(len(pattern), d=1 / PHASES)
    along = np.sin(angle) * frequency[:, None] + np.cos(angle) * frequency
    transform = fft.fft2(fft.ifftshift(pattern).astype(np.complex64)) * np.sinc(length * along).astype(np.float32)
    return np.asarray(np.maximum(fft.fftshift(fft.ifft2(transform).real), 0), np.float64)


def _blurred(pattern: NDArray[np.float64], fwhm: float) -> NDArray[np.float64]:
    """Blur a pattern with the Gaussian that gives it this FWHM (pixels)."""
    samples = len(pattern)
    frequency = fft.fftfreq(samples, d=1 / PHASES)
    transform = fft.fft2(fft.ifftshift(pattern).astype(np.complex64))
    squared = frequency[:, None] ** 2 + frequency[None, :] ** 2
    narrow, wide = 0.0, fwhm / _FWHM_OVER_SIGMA
    blurred: NDArray[np.float64] = pattern
    for _ in range(6):
        sigma = (narrow + wide) / 2
        otf = np.exp(-2 * (np.pi * sigma) ** 2 * squared)
        light = fft.fftshift(fft.ifft2(transform * otf.astype(np.float32)).real)
        blurred = np.asarray(np.maximum(light, 0), dtype=np.float64)
        if _half_width(blurred) < fwhm:
            narrow = sigma
        else:
            wide = sigma
    return blurred


def _half_width(pattern: NDArray[np.floating]) -> float:
    """FWHM in pixels, from the area above half of the maximum."""
    return float(2 * np.sqrt((pattern > pattern.max() / 2).sum() / np.pi) / PHASES)
