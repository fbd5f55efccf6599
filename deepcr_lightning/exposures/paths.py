"""What a path option means: a directory, a file, a glob, or a list of these."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.errors import InputError

ENDINGS = tuple(f"{stem}{packed}" for stem in (".fits", ".fit", ".fts") for packed in ("", ".gz", ".fz"))
PRODUCT_ENDINGS = ("_crmask", "_crclean")


def is_fits(path: Path) -> bool:
    """Tell whether a name is that of a FITS image which is not hidden and not one of our products.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
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
        A directory stands for all FITS files in and below it, a glob for those it matches, our own
        products left out of both.

    Returns
    -------
    dict of Path to Path
        Each file once, sorted, and its place relative to the directory it was found under.

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
        path = Path(part).expanduser()
        named = [path] if path.exists() else [Path(match) for match in glob.glob(str(path), recursive=True)]
        here: dict[Path, Path] = {}
        for match in named:
            if match.is_dir():
                here.update({f: f.relative_to(match) for f in match.rglob("*") if is_fits(f) and f.is_file()})
            elif match == path or is_fits(match):
                here[match] = Path(match.name)
        if not here:
            missing = "no FITS files there" if named else "no such file or directory"
            raise InputError(f"{option}={part}: {missing}; give a directory, a file, a quoted glob, or a list")
        found |= here
    once = {path.resolve(): path for path in reversed(found)}
    return {path: found[path] for path in sorted(once.values())}
