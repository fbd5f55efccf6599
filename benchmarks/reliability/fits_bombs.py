"""FITS files of some megabytes, or of none, that cost gigabytes or minutes where they are believed."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import numpy as np
from astropy.io import fits
from fits_originals import BLOCK, Mutation, Originals, kept, set_card, with_cards


def _header_bomb(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    count = int(rng.choice([50_000, 1_000_000]))
    card = str(rng.choice(["HISTORY x", "COMMENT", "CONTINUE  'x&'", "HIERARCH A B = 1", "GAIN    = 1.0", ""]))
    return kept(with_cards(originals.forms["plain"], [card] * count), folder)


def _many_extensions(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = originals.forms["plain"]
    empty = fits.ImageHDU(name=str(rng.choice(["SCI", "DQ", "X"]))).header.tostring().encode()
    return kept(data + empty * int(rng.choice([500, 5000, 20_000])), folder)


def _tile_bomb(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a compressed image that unpacks to far more than a machine has, by its header or by its tiles."""
    kind = str(rng.choice(["GZIP_1", "RICE_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1"]))
    small = fits.CompImageHDU(np.zeros((64, 64), np.int16), compression_type=kind, tile_shape=(16, 64), name="SCI")
    small.header["BUNIT"] = "ELECTRONS"
    packed = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), small]).writeto(packed)
    data = packed.getvalue()
    side = int(rng.choice([20_000, 200_000, 2_000_000_000]))
    changed = {"ZNAXIS1": side, "ZNAXIS2": side, "ZTILE1": side, "ZTILE2": int(rng.choice([1, 16, side]))}
    if rng.random() < 0.3:
        changed = {"ZNAXIS1": 40_000, "ZNAXIS2": 40_000}
    for key, value in changed.items():
        data = set_card(data, key, value)
    return kept(data, folder)


def _gzip_bomb(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a file of some megabytes that unpacks to gigabytes."""
    side = 40_000
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", side), ("NAXIS2", side)])
    header["BUNIT"] = "ELECTRONS"
    packed = io.BytesIO()
    block = bytes(1 << 22)
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(header.tostring().encode())
    member = gzip.compress(block, 1)
    # Members of a gzip file follow one another: the same four megabytes a thousand times.
    return kept(packed.getvalue() + member * int(rng.choice([700, 1600])), folder, "bomb.fits.gz")


def _declared(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a sparse file as long as its header says: gigabytes that are not there."""
    side = int(rng.choice([100_000, 300_000]))
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", side), ("NAXIS2", side)])
    header["BUNIT"] = "ELECTRONS"
    path = kept(header.tostring().encode(), folder)
    os.truncate(path, BLOCK + -(-side * side * 4 // BLOCK) * BLOCK)
    return path


def _dq_bomb(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a small image whose DQ is compressed and as large as a country."""
    with fits.open(io.BytesIO(originals.forms["plain"])) as hdus:
        dq = fits.CompImageHDU(hdus[2].data, hdus[2].header, "DQ", compression_type="GZIP_1")
        packed = io.BytesIO()
        fits.HDUList([hdus[0], hdus[1], dq]).writeto(packed)
    data = packed.getvalue()
    for key in ("ZNAXIS1", "ZNAXIS2"):
        data = set_card(data, key, int(rng.choice([50_000, 900_000])))
    return kept(data, folder)


HEAVY: dict[str, Mutation] = {
    "tiles that unpack to gigabytes": _tile_bomb,
    "DQ that unpacks to gigabytes": _dq_bomb,
    "gzip that unpacks to gigabytes": _gzip_bomb,
    "gigabytes of nothing": _declared,
    "hundred thousands of cards": _header_bomb,
    "thousands of extensions": _many_extensions,
}
"""Some seconds each."""
