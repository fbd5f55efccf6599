"""Tiles: sky tiles of science exposures, CR layers of darks, and their store."""
