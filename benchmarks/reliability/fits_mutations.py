"""Ways to break a FITS file or a folder of them, each quick to try."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from astropy.io import fits
from fits_originals import BLOCK, CARD, NAME, Mutation, Originals, kept, with_cards
from numpy.typing import NDArray

SCRIPT = "<script>alert(1)</script>"


def _bits(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = bytearray(originals.drawn(rng))
    for _ in range(int(rng.integers(1, 9))):
        data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
    return kept(bytes(data), folder)


def _header_bits(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = bytearray(originals.forms[str(rng.choice(["plain", "tiles", "simple"]))])
    starts = [0, *(n for n in range(0, len(data), BLOCK) if data[n : n + 8] == b"XTENSION")]
    for _ in range(int(rng.integers(1, 5))):
        data[int(rng.choice(starts)) + int(rng.integers(0, 14 * CARD))] ^= 1 << int(rng.integers(0, 8))
    return kept(bytes(data), folder)


def _cut(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = originals.drawn(rng)
    return kept(data[: int(rng.integers(0, len(data)))], folder)


def _spliced(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data, other = originals.drawn(rng), originals.drawn(rng)
    start, stop = sorted(int(n) for n in rng.integers(0, len(data) // BLOCK + 1, 2))
    place = BLOCK * int(rng.integers(0, len(other) // BLOCK + 1))
    return kept(data[: start * BLOCK] + other[place : place + (stop - start) * BLOCK] + data[stop * BLOCK :], folder)


_WILD = ("-1", "0", "1", "999", "1000000000", "-2147483649", "9223372036854775807", "1e300", "NaN", "'x'", "T", "")


def _axes(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Give a structural keyword a wild value."""
    data = bytearray(originals.forms[str(rng.choice(["plain", "tiles", "simple"]))])
    words = ["NAXIS", "NAXIS1", "NAXIS2", "BITPIX", "PCOUNT", "GCOUNT", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZTILE1"]
    words += ["ZTILE2", "ZBITPIX", "TFIELDS", "THEAP", "BSCALE", "BZERO", "EXTVER", "EXPTIME", "NEXTEND", "ZCMPTYPE"]
    places = [n for n in range(0, len(data), CARD) if bytes(data[n : n + 8]).decode("latin1").strip() in words]
    for place in rng.choice(places, int(rng.integers(1, 3))):
        data[place + 10 : place + CARD] = f"{rng.choice(_WILD):>20}".ljust(CARD - 10).encode()
    return kept(bytes(data), folder)


def _odd_cards(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Add HIERARCH, CONTINUE, quotes without an end, control characters, marks of web pages."""
    cards = [
        "HIERARCH ESO DET OUT1 GAIN = 'x",
        "HIERARCH " + "A" * 71,
        "CONTINUE  'and on&'",
        "CONTINUE  'and on'",
        "OBJECT  = 'a&'",
        "LONG    = 'a&'",
        "CONTINUE  'b&'",
        "CONTINUE  ''",
        "TARGNAME= '" + SCRIPT + "'",
        "INSTRUME= '" + SCRIPT + "'",
        "FILTER  = '<IMG SRC=X ONERROR=&#97;>'",
        "FILTER  = '$\\frac{1}$'",
        "FILTER  = 'F336W$x_^'",
        "EXPTIME = (1.0, 2.0)",
        "EXPTIME = 'twelve'",
        "EXPTIME = 1E400",
        "EXPTIME = -5",
        "BUNIT   = '\x00\x1b[2J'",
        "CCDSUM  = '999999999999999 2'",
        "LTV1    = 1D999",
        "SATURATE= 1E-30",
        "DATASEC = '[0:99999999999,1:2]'",
        "CTYPE1  = 'RA---TAN'",
        "CTYPE2  = 'DEC--XYZ'",
        "CRVAL1  = 'x'",
        "A_ORDER = 999999999",
        "WCSAXES = 99",
        "EXTVER  = 1E9",
        "=       = =",
        "\x00\x01\x02\x1b[31m",
        "É\xff  = 1",
        "XTENSION= 'IMAGE   '",
        "NAXIS3  = 1000000000",
        "DATE-OBS= '99999-99-99'",
    ]
    drawn = list(rng.choice(cards, int(rng.integers(1, 8)), replace=False))
    return kept(with_cards(originals.forms[str(rng.choice(["plain", "simple"]))], drawn), folder)


def _without_end(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = originals.forms["plain"].replace(b"END" + b" " * 77, b" " * CARD, 1)
    return kept(data[: 3 * BLOCK] + b" " * int(rng.choice([0, 30_000_000])), folder)


def _names(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Take file names with line feeds, control characters, marks of web pages, and bytes that are no text."""
    names = [
        "a\nb",
        "a\rb",
        "a  b",
        " a",
        "a\tb",
        "\x1b[2Jx",
        "a'b\"c",
        "$x_^$",
        "<img src=x onerror=alert(1)>",
        "%s{0}",
    ]
    names += ["a,b", "=cmd()", "a#b", "é", "\u202egnp", "-rf", "~", "a\\b", "*", "[x]", "a" * 200]
    name = f"{rng.choice(names)}_flc.fits"
    if rng.random() < 0.15:
        raw = os.path.join(os.fsencode(folder), b"\xff\xfe_flc.fits")
        Path(os.fsdecode(raw)).write_bytes(originals.forms["plain"])
        return folder
    kept(originals.forms["plain"], folder, name)
    return folder / name if rng.random() < 0.5 else folder


def _links(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a folder with links to itself, out of the tree, to nothing, to devices and pipes."""
    inside = folder / "in"
    inside.mkdir()
    (inside / "loop").symlink_to(inside)
    (inside / "up").symlink_to(folder)
    (inside / "none.fits").symlink_to(folder / "nowhere.fits")
    (inside / "round.fits").symlink_to(inside / "round.fits")
    (inside / "zero.fits").symlink_to("/dev/zero")
    (inside / "random.fits").symlink_to("/dev/urandom")
    os.mkfifo(inside / "pipe.fits")
    (inside / "folder.fits").mkdir()
    kept(originals.drawn(rng), inside)
    return inside if rng.random() < 0.7 else inside / str(rng.choice(["zero.fits", "pipe.fits", "round.fits"]))


def _numbers(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make pixels wild: not a number, infinite, huge, tiny, all equal."""
    values = np.array([np.nan, np.inf, -np.inf, 1e38, -1e38, 3e38, 1e-45, 1e30, 0, -1], np.float32)
    with fits.open(io.BytesIO(originals.forms["plain"])) as hdus:
        for place in (1, 3):
            image: NDArray = hdus[place].data
            share = float(rng.choice([0.01, 0.5, 0.98, 1.0]))
            hit = rng.random(image.shape) < share
            image[hit] = rng.choice(values, int(hit.sum())) if rng.random() < 0.5 else rng.choice(values)
        hdus.writeto(folder / NAME)
    return folder / NAME


LIGHT: dict[str, Mutation] = {
    "bits flipped": _bits,
    "bits of headers flipped": _header_bits,
    "cut": _cut,
    "blocks of another file": _spliced,
    "wild axes": _axes,
    "odd cards": _odd_cards,
    "header without an end": _without_end,
    "file names": _names,
    "links": _links,
    "wild pixels": _numbers,
}
