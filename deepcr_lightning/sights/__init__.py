"""Sights: what exposures look like, by the widths of their stars, trails and the lines of spectra."""
