"""A file of the archive that is wanted here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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

    Raises
    ------
    ValueError
        If its name or kind leads to another folder.
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

    def __post_init__(self) -> None:
        # A selection is read from a file, too, which may come from somebody else.
        if Path(self.name).name != self.name or self.name.startswith(".") or self.kind not in ("science", "darks"):
            raise ValueError(f"{self.kind}/{self.name} is not a valid name for an exposure")

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
