"""A file of the archive that is wanted here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """A file, and what the archive says of the exposure in it.

    Attributes
    ----------
    name : str
        File name, such as ``idsj02axq_flc.fits``.
    uri : str
        Such as ``mast:HST/product/idsj02axq_flc.fits``.
    size : int
        Bytes, as the archive's table has it; not above 0 where it does not know.
    kind : str
        ``"science"`` or ``"darks"``, which is also the folder that it goes to.
    camera, filter, target, proposal : str
    start : float
        MJD.
    exposure_time : float
        Seconds; NaN where the archive knows it of an association alone.
    public : bool
        Whether no token is needed.
    """

    name: str
    uri: str
    size: int
    kind: str
    camera: str
    filter: str
    target: str
    proposal: str
    start: float
    exposure_time: float
    public: bool

    @property
    def root(self) -> str:
        """Rootname of the exposure."""
        return self.name.partition("_")[0]

    @property
    def suffix(self) -> str:
        """Which product of the exposure it is, such as ``flc``."""
        return self.name.partition("_")[2].partition(".")[0]

    @property
    def visit(self) -> str:
        """Programme and visit, the first six characters of the rootname."""
        return self.root[:6]
