"""The exposures that the page may open: those that the user named, and none else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure, root_of
from deepcr_lightning.exposures.product_names import product_name
from deepcr_lightning.exposures.truth import ENDING
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.viewer.earlier import flagged_before
from deepcr_lightning.viewer.opened import OpenExposure, Search, open_exposure
from deepcr_lightning.viewer.picture import thumbnail


@dataclass(eq=False)
class Shelf:
    """Exposures with the places of their masks.

    Attributes
    ----------
    places : mapping of Path to Path
        Each file and its place below a directory (`exposures.paths.find_exposures`).
    search : callable
        Runs the network over an exposure.
    output_dir : Path, optional
        Where masks are read from and saved; beside the exposures by default.
    truth_dir : Path, optional
        Holds ``<root>_truth.fits``; beside the exposures by default.
    settings : ReadSettings, optional
    """

    places: Mapping[Path, Path]
    search: Search
    output_dir: Path | None = None
    truth_dir: Path | None = None
    settings: ReadSettings | None = None
    _thumbnails: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.paths = list(self.places)

    def mask_path(self, number: int) -> Path:
        """Where the mask of an exposure, by its number, is or will be."""
        path = self.paths[number]
        folder = path.parent if self.output_dir is None else (self.output_dir / self.places[path]).parent
        return folder / product_name("mask", root_of(path), path.name)

    def open(self, number: int, anew: bool = False) -> OpenExposure:
        """Open an exposure by its number, as `open_exposure` does."""
        path = self.paths[number]
        truth = self.truth_dir / f"{root_of(path)}{ENDING}" if self.truth_dir is not None else None
        return open_exposure(path, self.mask_path(number), self.search, self.settings, truth, anew)

    def flagged(self, number: int) -> str:
        """Say which share of an exposure its mask flags; empty where there is none."""
        share = flagged_before(self.mask_path(number))
        return "" if share is None else f"{share:.2%}"

    def thumbnail(self, number: int) -> str:
        """Draw an exposure small, once; empty where it cannot be read."""
        if number not in self._thumbnails:
            try:
                self._thumbnails[number] = thumbnail(read_exposure(self.paths[number], self.settings, timed=False))
            except InputError:
                self._thumbnails[number] = ""
        return self._thumbnails[number]

    def thumbnails(self) -> list[str]:
        """List what was drawn so far, empty where nothing was."""
        return [self._thumbnails.get(number, "") for number in range(len(self.paths))]
