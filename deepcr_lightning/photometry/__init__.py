"""Photometry of stars with the point-spread function of their image."""
