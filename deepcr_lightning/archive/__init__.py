"""Exposures and darks from the archive of the Hubble Space Telescope."""
