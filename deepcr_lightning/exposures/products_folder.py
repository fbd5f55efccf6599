"""Where products go if the user names no place: beside what was given."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.paths import ENDINGS, LISTS

_SUFFIX = "_cr"


def products_folder(value: str | Path | Sequence[str | Path]) -> Path:
    """Name the folder for the products of an input: ``<input>_cr`` beside it.

    Parameters
    ----------
    value : path, glob, or a list of these
        What `paths.find_exposures` takes. A glob stands for the folder that it looks into, and so do several files of
        one folder.

    Returns
    -------
    Path
        Absolute; it need not be there.

    Raises
    ------
    InputError
        If the input lies in several folders, is an address, or has nothing beside it.
    """
    parts = [value] if isinstance(value, str | Path) else list(value)
    texts = [str(part).removeprefix("file://") for part in parts]
    for text in texts:
        if "://" in text or text.startswith("mast:"):
            raise _not_given(f"{text} is not a local file or folder")
    places = {_place(text, alone=len(texts) == 1) for text in texts}
    if len(places) > 1:
        raise _not_given(f"the input lies in {len(places)} folders")
    place = places.pop()
    if not place.name:
        raise _not_given(f"there is no place beside {place}")
    return place.with_name(place.name + _SUFFIX)


def _place(text: str, alone: bool) -> Path:
    path = Path(os.path.abspath(os.path.expanduser(text)))
    if path.is_dir():
        return path
    if path.exists() or not glob.has_magic(text):
        ending = next((end for end in (*ENDINGS, *LISTS) if path.name.lower().endswith(end)), "")
        return path.with_name(path.name[: len(path.name) - len(ending)]) if alone else path.parent
    while glob.has_magic(path.name) or glob.has_magic(str(path.parent)):
        path = path.parent
    return path


def _not_given(reason: str) -> InputError:
    return InputError(f"output_dir= is not given, and {reason}; name the directory for the products")
