"""WFC3/UVIS filters: wavelengths, zeropoints and sky, as far as a simulation needs them.

Pivot wavelengths are those that STScI publishes for UVIS1; widths are the rectangular widths of the WFC3 Instrument
Handbook (table 6.2); zeropoints are those of `exposures.instruments`. The sky is average zodiacal light and earthshine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.instruments import INSTRUMENTS


@dataclass(frozen=True)
class Filter:
    """What a WFC3/UVIS filter does to light.

    Attributes
    ----------
    name : str
        Name as in the header's FILTER.
    pivot_nm : float
        Pivot wavelength in nm.
    width_nm : float
        Rectangular width in nm.
    sky : float
        Sky in electrons / s / pixel.
    """

    name: str
    pivot_nm: float
    width_nm: float
    sky: float

    @property
    def zeropoint(self) -> float:
        """AB magnitude that gives 1 electron / s."""
        return INSTRUMENTS["WFC3", "UVIS"].zeropoints[self.name]

    @property
    def wavelengths_nm(self) -> tuple[float, ...]:
        """Five wavelengths in nm that stand for the band."""
        shares = np.array([-0.4, -0.2, 0.0, 0.2, 0.4])
        return tuple(float(value) for value in self.pivot_nm + shares * self.width_nm)

    def count_rate(self, magnitude: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert AB magnitudes to count rates.

        Parameters
        ----------
        magnitude : float or ndarray
            AB magnitude in this filter.

        Returns
        -------
        ndarray of float64
            Rate in electrons / s.
        """
        return np.asarray(10 ** (-0.4 * (np.asarray(magnitude) - self.zeropoint)))


FILTERS: dict[str, Filter] = {
    entry.name: entry
    for entry in (
        Filter("F225W", 237.2, 46.7, 0.0066),
        Filter("F275W", 271.0, 40.5, 0.0016),
        Filter("F336W", 335.5, 51.1, 0.0028),
        Filter("F350LP", 585.1, 475.8, 0.1000),
        Filter("F390W", 392.4, 89.4, 0.0105),
        Filter("F438W", 432.6, 61.8, 0.0080),
        Filter("F475W", 477.3, 134.4, 0.0210),
        Filter("F555W", 530.8, 156.5, 0.0290),
        Filter("F606W", 588.9, 218.2, 0.0420),
        Filter("F814W", 803.9, 153.6, 0.0260),
    )
}
"""The known filters, by name."""


def get_filter(name: str) -> Filter:
    """Look a filter up by name.

    Parameters
    ----------
    name : str
        Name as in the header's FILTER.

    Returns
    -------
    Filter
        Its wavelengths, zeropoint and sky.

    Raises
    ------
    InputError
        If the filter is not in the table; the message lists the known ones.
    """
    try:
        return FILTERS[name]
    except KeyError:
        raise InputError(f"unknown filter {name!r}: choose from {', '.join(sorted(FILTERS))}") from None
