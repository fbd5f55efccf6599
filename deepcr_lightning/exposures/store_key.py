"""Names of what is kept between runs: by the files that it was made of, and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def store_key(version: int, files: Sequence[Path], settings: Mapping[str, object]) -> str:
    """Name a store by what it is made of.

    Parameters
    ----------
    version : int
        Format of the store.
    files : sequence of Path
        Files that it is made of: path, size and time of change of each count.
    settings : mapping of str
        How it is made, in plain values.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    stats = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    text = json.dumps([version, settings, stats], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
