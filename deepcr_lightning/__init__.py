"""Cosmic-ray rejection for single CCD exposures, trained without labels."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["clean", "load_filler", "load_model"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: a folder's modules import the version from here.
    if name == "clean":
        from deepcr_lightning.prediction.shipped import clean

        return clean
    if name == "load_model":
        from deepcr_lightning.prediction.finder import load_finder

        return load_finder
    if name == "load_filler":
        from deepcr_lightning.inpainting.filler import load_filler

        return load_filler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
