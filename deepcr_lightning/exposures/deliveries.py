"""What a folder holds: of each exposure that the archive of HST delivers the best product, and no tables."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.exposures.chips import is_flat
from deepcr_lightning.exposures.layout import open_fits, primary_header
from deepcr_lightning.exposures.product_names import STAMP
from deepcr_lightning.exposures.remarks import remark

SINGLE = ("flc", "flt", "c0m", "c0f", "raw", "d0m", "d0f")
"""Products of one exposure by the ending of their names, the best first."""
COMBINED = ("drc", "drz", "drw", "crc", "crj", "sx2", "x2d", "mos", "sfl", "ima")
"""Products of several exposures or reads; they are taken where a folder holds nothing better."""
_BESIDE = ("asn", "spt", "jit", "jif", "jid", "jwf", "trl", "pdq", "shm", "shf", "hlet", "x1d", "sx1", "tag", "log")
_BESIDE_WFPC2 = ("c1m", "c1f", "q0m", "q0f", "q1m", "q1f", "x0m", "x0f", "c3m", "c3f", "dgr", "trf")
_RANKS = {suffix: rank for rank, suffix in enumerate((*SINGLE, *COMBINED))}
_NAME = re.compile(r"([a-z][a-z0-9]{8})_([a-z0-9]{3,4})\.(?:fits|fit|fts)(?:\.(?:gz|fz))?", re.I)


def choose_exposures(where: str, paths: Sequence[Path]) -> list[Path]:
    """Choose the exposures among the FITS files of a folder; one line tells what is left out.

    Parameters
    ----------
    where : str
        What the user typed, for that line.
    paths : sequence of Path

    Returns
    -------
    list of Path
        The best of the products of HST with one root (`SINGLE`), without DQ copies of ours beside it; combined ones
        (`COMBINED`) and what the archive delivers beside only where no single exposure of HST is there. Other files are
        chosen if they hold an image.
    """
    names = {path: match for path in paths if (match := _NAME.fullmatch(path.name))}
    suffixes = {path: match[2].lower() for path, match in names.items()}
    single = any(suffix in SINGLE for suffix in suffixes.values())
    best: dict[str, int] = {}
    for path, suffix in suffixes.items():
        if suffix in _RANKS and (suffix in SINGLE or not single):
            root = names[path][1].lower()
            best[root] = min(best.get(root, len(_RANKS)), _RANKS[suffix])
    copies: dict[str, list[Path]] = {}
    for path, suffix in suffixes.items():
        root = names[path][1].lower()
        if suffix in _RANKS and _RANKS[suffix] == best.get(root):
            copies.setdefault(root, []).append(path)
    chosen: set[Path] = set()
    for same in copies.values():
        chosen.update([path for path in same if len(same) == 1 or not is_ours(path)] or same)
    kept, left = [], Counter[str]()
    for path in paths:
        suffix = suffixes.get(path, "")
        if path in chosen or (suffix not in (*_RANKS, *_BESIDE, *_BESIDE_WFPC2) and holds_image(path)):
            kept.append(path)
        elif suffix in SINGLE and _RANKS[suffix] == best[names[path][1].lower()]:
            left["DQ copy"] += 1
        else:
            left[suffix if suffix in (*_RANKS, *_BESIDE, *_BESIDE_WFPC2) else "without a 2-D image"] += 1
    if left and kept:
        told = ", ".join(f"{count} {suffix}" for suffix, count in sorted(left.items()))
        remark(where, f"{len(kept)} of {len(paths)} FITS files are used as exposures; left out: {told}", logging.INFO)
    return kept


def holds_image(path: Path) -> bool:
    """Tell whether a file holds a 2-D image, by its headers; one that cannot be read is believed to."""
    if not isinstance(path, Path):
        return True
    try:
        with open_fits(path) as (hdus, _):
            return any(is_flat(hdu) for hdu in hdus)
    except Exception:  # reading it will say what is wrong
        return True


def is_ours(path: Path) -> bool:
    """Tell whether a file is a product of ours, such as a DQ copy; one that cannot be read is not."""
    try:
        return STAMP in primary_header(path)
    except Exception:  # reading it will say what is wrong
        return False
