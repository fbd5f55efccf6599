"""Cosmic-ray rejection for single CCD exposures, trained without labels."""

__version__ = "0.1.0"
