"""Ways to break a FITS file, or to make a hostile one."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

BLOCK, CARD = 2880, 80
NAME = "ivis01a0q_flc.fits"
SCRIPT = "<script>alert(1)</script>"


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


def _kept(data: bytes, folder: Path, name: str = NAME) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def _bits(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = bytearray(originals.drawn(rng))
    for _ in range(int(rng.integers(1, 9))):
        data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
    return _kept(bytes(data), folder)


def _header_bits(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = bytearray(originals.forms[str(rng.choice(["plain", "tiles", "simple"]))])
    starts = [0, *(n for n in range(0, len(data), BLOCK) if data[n : n + 8] == b"XTENSION")]
    for _ in range(int(rng.integers(1, 5))):
        data[int(rng.choice(starts)) + int(rng.integers(0, 14 * CARD))] ^= 1 << int(rng.integers(0, 8))
    return _kept(bytes(data), folder)


def _cut(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = originals.drawn(rng)
    return _kept(data[: int(rng.integers(0, len(data)))], folder)


def _spliced(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data, other = originals.drawn(rng), originals.drawn(rng)
    start, stop = sorted(int(n) for n in rng.integers(0, len(data) // BLOCK + 1, 2))
    place = BLOCK * int(rng.integers(0, len(other) // BLOCK + 1))
    return _kept(data[: start * BLOCK] + other[place : place + (stop - start) * BLOCK] + data[stop * BLOCK :], folder)


_WILD = ("-1", "0", "1", "999", "1000000000", "-2147483649", "9223372036854775807", "1e300", "NaN", "'x'", "T", "")


def _axes(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Give a structural keyword a wild value."""
    data = bytearray(originals.forms[str(rng.choice(["plain", "tiles", "simple"]))])
    words = ["NAXIS", "NAXIS1", "NAXIS2", "BITPIX", "PCOUNT", "GCOUNT", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZTILE1"]
    words += ["ZTILE2", "ZBITPIX", "TFIELDS", "THEAP", "BSCALE", "BZERO", "EXTVER", "EXPTIME", "NEXTEND", "ZCMPTYPE"]
    places = [n for n in range(0, len(data), CARD) if bytes(data[n : n + 8]).decode("latin1").strip() in words]
    for place in rng.choice(places, int(rng.integers(1, 3))):
        data[place + 10 : place + CARD] = f"{rng.choice(_WILD):>20}".ljust(CARD - 10).encode()
    return _kept(bytes(data), folder)


def _with_cards(originals: Originals, cards: list[str], form: str = "plain") -> bytes:
    data = originals.forms[form]
    end = data.index(b"END" + b" " * 77)
    header = data[:end] + b"".join(card.ljust(CARD).encode("latin1")[:CARD] for card in cards) + b"END".ljust(CARD)
    return header + b" " * (-len(header) % BLOCK) + data[end - end % BLOCK + BLOCK :]


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
    return _kept(_with_cards(originals, drawn, str(rng.choice(["plain", "simple"]))), folder)


def _header_bomb(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    count = int(rng.choice([50_000, 1_000_000]))
    card = str(rng.choice(["HISTORY x", "COMMENT", "CONTINUE  'x&'", "HIERARCH A B = 1", "GAIN    = 1.0", ""]))
    return _kept(_with_cards(originals, [card] * count), folder)


def _without_end(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = originals.forms["plain"].replace(b"END" + b" " * 77, b" " * CARD, 1)
    return _kept(data[: 3 * BLOCK] + b" " * int(rng.choice([0, 30_000_000])), folder)


def _many_extensions(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    data = originals.forms["plain"]
    empty = fits.ImageHDU(name=str(rng.choice(["SCI", "DQ", "X"]))).header.tostring().encode()
    return _kept(data + empty * int(rng.choice([500, 5000, 20_000])), folder)


def _tile_bomb(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a compressed image that unpacks to far more than a machine has, by its header or by its tiles."""
    kind = str(rng.choice(["GZIP_1", "RICE_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1"]))
    small = fits.CompImageHDU(np.zeros((64, 64), np.int16), compression_type=kind, tile_shape=(16, 64), name="SCI")
    small.header["BUNIT"] = "ELECTRONS"
    packed = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), small]).writeto(packed)
    data = bytearray(packed.getvalue())
    side = int(rng.choice([20_000, 200_000, 2_000_000_000]))
    changed = {"ZNAXIS1": side, "ZNAXIS2": side, "ZTILE1": side, "ZTILE2": int(rng.choice([1, 16, side]))}
    if rng.random() < 0.3:
        changed = {"ZNAXIS1": 40_000, "ZNAXIS2": 40_000}
    for word, value in changed.items():
        place = data.index(word.encode().ljust(8) + b"=")
        data[place : place + CARD] = f"{word:8}= {value:>20}".ljust(CARD).encode()
    return _kept(bytes(data), folder)


def _gzip_bomb(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a file of some megabytes that unpacks to gigabytes: whole, cut, or with rubbish behind."""
    side = 40_000
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", side), ("NAXIS2", side)])
    header["BUNIT"] = "ELECTRONS"
    packed = io.BytesIO()
    block = bytes(1 << 22)
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(header.tostring().encode())
    member = gzip.compress(block, 1)
    # Members of a gzip file follow one another: the same four megabytes a thousand times.
    return _kept(packed.getvalue() + member * int(rng.choice([700, 1600])), folder, "bomb.fits.gz")


def _declared(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a sparse file as long as its header says: gigabytes that are not there."""
    side = int(rng.choice([100_000, 300_000]))
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", side), ("NAXIS2", side)])
    header["BUNIT"] = "ELECTRONS"
    path = _kept(header.tostring().encode(), folder)
    os.truncate(path, BLOCK + -(-side * side * 4 // BLOCK) * BLOCK)
    return path


def _dq_bomb(originals: Originals, folder: Path, rng: np.random.Generator) -> Path:
    """Make a small image whose DQ is compressed and as large as a country."""
    with fits.open(io.BytesIO(originals.forms["plain"])) as hdus:
        dq = fits.CompImageHDU(hdus[2].data, hdus[2].header, "DQ", compression_type="GZIP_1")
        packed = io.BytesIO()
        fits.HDUList([hdus[0], hdus[1], dq]).writeto(packed)
    data = bytearray(packed.getvalue())
    for word in ("ZNAXIS1", "ZNAXIS2"):
        place = data.index(word.encode().ljust(8) + b"=")
        data[place : place + CARD] = f"{word:8}= {int(rng.choice([50_000, 900_000])):>20}".ljust(CARD).encode()
    return _kept(bytes(data), folder)


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
    _kept(originals.forms["plain"], folder, name)
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
    _kept(originals.drawn(rng), inside)
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
"""Quick to try."""
HEAVY: dict[str, Mutation] = {
    "tiles that unpack to gigabytes": _tile_bomb,
    "DQ that unpacks to gigabytes": _dq_bomb,
    "gzip that unpacks to gigabytes": _gzip_bomb,
    "gigabytes of nothing": _declared,
    "hundred thousands of cards": _header_bomb,
    "thousands of extensions": _many_extensions,
}
"""Some seconds each."""
