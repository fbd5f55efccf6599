"""What a path option means: a directory, a file, a glob, or a list of these."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.errors import InputError

ENDINGS = tuple(f"{stem}{packed}" for stem in (".fits", ".fit", ".fts") for packed in ("", ".gz", ".fz"))
PRODUCT_ENDINGS = ("_crmask", "_crclean")


def is_fits(path: Path) -> bool:
    """Whether a name is that of a FITS image which is not hidden and not one of our products."""
    name = path.name.lower()
    stem = next((name[: -len(ending)] for ending in ENDINGS if name.endswith(ending)), None)
    return stem is not None and not name.startswith(".") and not stem.endswith(PRODUCT_ENDINGS)


def find_exposures(option: str, value: str | Path | Sequence[str | Path] | None) -> dict[Path, Path]:
    """Find the FITS files that a path option names.

    Parameters
    ----------
    option : str
        Name of the option, for messages.
    value : path, glob, or a list of these
        A directory stands for all FITS files in and below it, our own products left out.

    Returns
    -------
    dict of Path to Path
        Each file, sorted, and its place relative to the directory it was found under.

    Raises
    ------
    InputError
        If there is no value, or a part of it matches no FITS file.
    """
    if value is None or value == "" or value == []:
        raise InputError(f"{option}= is not given; name a directory, a file, a quoted glob, or a list of these")
    parts = [value] if isinstance(value, str | Path) else list(value)
    found: dict[Path, Path] = {}
    for part in parts:
        text = str(Path(part).expanduser())
        matches = [Path(text)] if Path(text).exists() else [Path(m) for m in glob.glob(text, recursive=True)]
        before = len(found)
        for match in matches:
            if match.is_dir():
                found.update({f: f.relative_to(match) for f in match.rglob("*") if is_fits(f) and f.is_file()})
            else:
                found[match] = Path(match.name)
        if len(found) == before and not any(m in found for m in matches):
            missing = "no FITS files there" if matches else "no such file or directory"
            raise InputError(f"{option}={part}: {missing}; give a directory, a file, a quoted glob, or a list")
    return dict(sorted(found.items()))
