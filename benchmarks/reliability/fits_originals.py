"""Whole exposures, and how their bytes are changed and kept."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from astropy.io import fits

BLOCK, CARD = 2880, 80
NAME = "ivis01a0q_flc.fits"


class Originals:
    """Whole exposures of two chips, plain, tile-compressed and packed, and one of a simple camera.

    Parameters
    ----------
    folder : Path
        Made, and empty.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        rng = np.random.default_rng(3)
        primary = fits.PrimaryHDU()
        primary.header.update({"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "UVIS", "FILTER": "F336W"})
        primary.header.update({"EXPTIME": 500.0, "TARGNAME": "FIELD", "ROOTNAME": "ivis01a0q", "NEXTEND": 4})
        hdus = fits.HDUList([primary])
        for version in (1, 2):
            image = rng.normal(30, 4, (48, 64)).astype(np.float32)
            image[10:13, 20 : 20 + 4 * version] += 900
            science = fits.ImageHDU(image, name="SCI", ver=version)
            science.header["BUNIT"] = "ELECTRONS"
            hdus += [science, fits.ImageHDU(rng.choice([0, 0, 0, 4], image.shape).astype("i2"), name="DQ", ver=version)]
        whole, packed = io.BytesIO(), io.BytesIO()
        hdus.writeto(whole)
        parts = [fits.CompImageHDU(h.data, h.header, h.name, compression_type="GZIP_2") for h in hdus[1:]]
        fits.HDUList([hdus[0], *parts]).writeto(packed)
        simple = io.BytesIO()
        header = fits.Header({"BUNIT": "adu", "GAIN": 1.5, "EXPTIME": 60.0})
        fits.PrimaryHDU(rng.normal(900, 20, (60, 50)).astype("u2"), header).writeto(simple)
        self.forms = {
            "plain": whole.getvalue(),
            "tiles": packed.getvalue(),
            "gzip": gzip.compress(whole.getvalue(), 1),
            "simple": simple.getvalue(),
        }

    def drawn(self, rng: np.random.Generator) -> bytes:
        """One of them."""
        return self.forms[str(rng.choice(list(self.forms)))]


Mutation = Callable[[Originals, Path, np.random.Generator], Path]
"""Makes a file or a folder in a folder, and gives its path."""


def kept(data: bytes, folder: Path, name: str = NAME) -> Path:
    """Write a file into a folder; give its path."""
    (folder / name).write_bytes(data)
    return folder / name


def with_cards(data: bytes, cards: Iterable[str]) -> bytes:
    """Put cards at the end of the first header of a file, as they are."""
    end = data.index(b"END".ljust(CARD))
    header = data[:end] + b"".join(card.ljust(CARD).encode("latin1")[:CARD] for card in cards) + b"END".ljust(CARD)
    return header + b" " * (-len(header) % BLOCK) + data[end - end % BLOCK + BLOCK :]


def set_card(data: bytes, key: str, value: object, nth: int = 0) -> bytes:
    """Write a value over the first card of that name in a file, or over a later one."""
    place = -1
    for _ in range(nth + 1):
        place = data.index(f"{key:8}=".encode(), place + 1)
    return data[:place] + f"{key:8}= {value:>20}".ljust(CARD).encode("latin1") + data[place + CARD :]
