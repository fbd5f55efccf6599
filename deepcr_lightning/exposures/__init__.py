"""Exposures: FITS in and out, in electrons."""
