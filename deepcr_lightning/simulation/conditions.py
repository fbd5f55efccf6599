"""The conditions of an exposure: what sets it apart from the usual one of WFC3/UVIS."""

from __future__ import annotations

from dataclasses import dataclass

from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation.psf import HALO
from deepcr_lightning.simulation.readout import GAIN, READ_NOISE

_POSITIVE = ("stars", "light", "psf", "sky", "silicon", "pitch", "crs", "read_noise", "gain", "full_well", "scale")


@dataclass(frozen=True)
class Conditions:
    """What sets an exposure apart from the usual one of WFC3/UVIS.

    Attributes
    ----------
    stars : float
        Number of stars over that of the field type.
    light : float
        Light of all sources over that which HST gathers; the sky is not among them.
    psf : float
        Width of the point-spread function over that of the filter: focus, seeing, other pixels. Below 1 the
        pixels are coarser.
    beta : float or None
        Exponent of the Moffat profile of a star seen through the atmosphere; None for the optics of HST.
    halo : float
        Share of the light that the optics of HST scatter out of the core.
    trail : (float, float)
        Length in pixels of the line that each star draws while the telescope drifts, and its angle to the rows in rad.
    moving : int
        Number of sources that move across the exposure in each 512 x 512 pixels, each in a direction of its own.
    bright : float
        Number of stars that fill the wells, with wide wings and spikes, in each 512 x 512 pixels, on the mean.
    spikes : tuple of float
        Angles to the rows, in rad, of the lines of light that vanes in the telescope draw through these.
    discs : float
        Number of discs and rings with sharp edges in each 512 x 512 pixels, on the mean.
    sky : float
        Sky over that of the filter: earthshine, zodiacal light, the night sky.
    silicon : float
        Thickness of the silicon over that of UVIS: the length, charge and blur of cosmic rays.
    depleted : bool
        Whether an electric field reaches through all of the silicon, as in thick CCDs: their charge spreads less.
    pitch : float
        Size of a pixel over that of UVIS, 15 um.
    crs : float
        Flux of cosmic rays over that in HST's orbit.
    worms : float
        Share of electrons that wander among them.
    alphas : float
        Number of alpha particles over that of cosmic rays.
    read_noise : float
        In electrons.
    gain : float
        Electrons per count: how coarsely the image is rounded.
    full_well : float
        Over that of UVIS.
    flash : bool
        Whether low backgrounds are post-flashed.
    flagged : bool
        Whether the file has a DQ array that says which pixels are bad or full.
    resampled : bool
        Whether the image was shifted and turned by interpolation, which correlates its noise.
    binning : (int, int)
        How many rows and columns of pixels are added up, with their charge, before they are read. `psf`, `trail` and
        `pitch` are of the pixels before that.
    flattened : bool
        Whether the sky was subtracted.
    scale : float
        What the file calls an electron, in electrons: the gain may be known badly.
    instrument, detector : str
        As the header has them.

    Raises
    ------
    InputError
        If a factor, the read noise or the binning is not positive.
    """

    stars: float = 1.0
    light: float = 1.0
    psf: float = 1.0
    beta: float | None = None
    halo: float = HALO
    trail: tuple[float, float] = (0.0, 0.0)
    moving: int = 0
    bright: float = 0.0
    spikes: tuple[float, ...] = ()
    discs: float = 0.0
    sky: float = 1.0
    silicon: float = 1.0
    depleted: bool = False
    pitch: float = 1.0
    crs: float = 1.0
    worms: float = 0.07
    alphas: float = 0.0
    read_noise: float = READ_NOISE
    gain: float = GAIN
    full_well: float = 1.0
    flash: bool = True
    flagged: bool = True
    resampled: bool = False
    binning: tuple[int, int] = (1, 1)
    flattened: bool = False
    scale: float = 1.0
    instrument: str = "WFC3"
    detector: str = "UVIS"

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise InputError(f"conditions: {name} must be positive, got {getattr(self, name)}")
        if min(self.binning) < 1:
            raise InputError(f"conditions: binning must be positive, got {self.binning}")


USUAL = Conditions()
"""Those of WFC3/UVIS."""
