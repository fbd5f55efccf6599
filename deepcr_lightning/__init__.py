"""Cosmic-ray rejection for single CCD exposures, trained without labels."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers, which do not run `__getattr__`
    from deepcr_lightning.inpainting.filler import load_filler
    from deepcr_lightning.prediction.finder import load_finder as load_model
    from deepcr_lightning.prediction.shipped import clean, find_cosmic_rays

__version__ = "0.1.0"
__all__ = ["clean", "find_cosmic_rays", "load_filler", "load_model"]

_PLACES = {
    "clean": ("prediction.shipped", "clean"),
    "find_cosmic_rays": ("prediction.shipped", "find_cosmic_rays"),
    "load_filler": ("inpainting.filler", "load_filler"),
    "load_model": ("prediction.finder", "load_finder"),
}
"""Module and name of each public function; PyTorch is imported with the first that is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
