"""What a path option means: a directory, a file, a glob, or a list of these."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepcr_lightning.console.counts import counted
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.deliveries import choose_exposures
from deepcr_lightning.exposures.product_names import is_product_name
from deepcr_lightning.exposures.remarks import remark

ENDINGS = tuple(f"{stem}{packed}" for stem in (".fits", ".fit", ".fts") for packed in ("", ".gz", ".fz"))
LISTS = (".txt", ".lst")
TRUTH = "_truth"
"""End of the names of truth files, which may lie beside the exposures."""


def is_fits(path: Path) -> bool:
    """Tell whether a name is that of a FITS image which is not hidden, no truth, and not one of our products.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    name = path.name.lower()
    stem = next((name[: -len(ending)] for ending in ENDINGS if name.endswith(ending)), None)
    return stem is not None and not name.startswith(".") and not stem.endswith(TRUTH) and not is_product_name(stem)


def as_path(value: str | Path) -> Path:
    """Make a path of what a person types.

    Parameters
    ----------
    value : str or Path
        A path, or an address such as ``s3://bucket/key``, of any file system that fsspec knows.

    Returns
    -------
    Path
        For an address, of universal_pathlib, which behaves like one.

    Raises
    ------
    InputError
        If the packages that an address needs are not installed.
    """
    text = str(value)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    if not isinstance(value, str) or "://" not in text:
        return Path(value).expanduser() if isinstance(value, str | Path) else value
    try:
        from upath import UPath

        address: Any = UPath(text)
        _ = address.fs  # which asks for the package of its kind
        return address
    except ImportError as error:
        raise InputError(f"{text}: needs further packages ({error}); pip install 'deepcr-lightning[remote]'") from error
    except ValueError as error:
        raise InputError(f"{text}: not an address of a known kind ({error})") from error


def find_exposures(option: str, value: str | Path | Sequence[str | Path] | None) -> dict[Path, Path]:
    """Find the FITS files that a path option names.

    Parameters
    ----------
    option : str
        Name of the option, for messages.
    value : path, glob, or a list of these
        A directory stands for all exposures in and below it (`deliveries.choose_exposures`), linked directories
        included, and a glob for those that it matches; our own products are left out of both. A text file
        (``.txt``, ``.lst``) holds one of these a line; lines that begin with
        ``#`` are left out. Addresses (`as_path`) are taken for paths.

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
        named = as_path(part)
        if named.suffix.lower() in LISTS and named.is_file():
            try:
                lines = [line.strip() for line in named.read_text(encoding="utf-8-sig").splitlines()]
            except UnicodeDecodeError as error:
                raise InputError(f"{option}={part}: is not a text file ({error.reason})") from error
            wanted = [line for line in lines if line and not line.startswith("#")]
            if not wanted:
                raise InputError(f"{option}={part}: lists no files; give one per line")
            for line in wanted:
                if not _like_a_path(line):
                    raise InputError(
                        f"{option}={part}: is not a list of exposures: its line {line[:40]!r} names none; give one "
                        "path, folder or glob per line"
                    )
                found |= _found(f"{option}={part}, line", line)
        else:
            found |= _found(option, part)
    once = {path.resolve(): path for path in reversed(found)}
    return {path: found[path] for path in sorted(once.values(), key=str)}


def _found(option: str, part: str | Path) -> dict[Path, Path]:
    if str(part).startswith("mast:"):
        raise InputError(f"{option}={part}: takes files only; fetch these with deepcr-lightning download first")
    path = as_path(part)
    try:
        named = matches(path)
        here: dict[Path, Path] = {}
        for match in named:
            if match.is_dir():
                files = [file for file in below(match) if is_fits(file)]
                if lost := [file for file in files if file.is_symlink() and not file.exists()]:
                    what = f"{counted(len(lost), 'broken link')}, such as {lost[0]}; left out"
                    remark(f"{option}={part}", what)
                files = [file for file in files if file.is_file()]
                here.update({file: Path(str(file.relative_to(match))) for file in files})
            elif match.is_file() and (match == path or is_fits(match)):
                here[match] = Path(match.name)
        if named != [path] or path.is_dir():
            here = {file: here[file] for file in choose_exposures(f"{option}={part}", sorted(here, key=str))}
    except Exception as error:  # every kind of store has errors of its own
        raise InputError(f"{option}={part}: cannot be listed ({type(error).__name__}: {error})") from error
    if not here:
        missing = "no FITS files with an exposure there" if named else "no such file or directory"
        missing = "is a pipe or a device, not a file" if named == [path] and not path.is_dir() else missing
        raise InputError(f"{option}={part}: {missing}; give a directory, a file, a quoted glob, or a list")
    return here


def _like_a_path(line: str) -> bool:
    return "/" in line or os.sep in line or is_fits(Path(line)) or glob.has_magic(line) or as_path(line).exists()


def below(folder: Path) -> Iterator[Path]:
    """Walk through a folder and those linked in it, each once."""
    if not isinstance(folder, Path):
        yield from folder.rglob("*")
        return
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in files)


def matches(path: Path) -> list[Path]:
    """List what a path names: itself if it is there, else what it matches as a glob."""
    if path.exists():
        return [path]
    if isinstance(path, Path):
        # A folder that is there may have brackets in its name.
        above = [Path(*path.parts[: place + 1]) for place in range(len(path.parts))]
        parts = [
            glob.escape(folder.name) if folder.name and folder.exists() else part
            for folder, part in zip(above, path.parts, strict=True)
        ]
        # A link that leads nowhere matches, too.
        return [Path(match) for match in glob.glob(str(Path(*parts)), recursive=True) if os.path.exists(match)]
    # The address of a glob ends before its first part with a wildcard.
    literal, rest = path, []
    while glob.has_magic(str(literal)) and literal != literal.parent:
        rest.insert(0, literal.name)
        literal = literal.parent
    return sorted(literal.glob("/".join(rest)), key=str) if rest else []
