"""Files and folders that appear whole or not at all, and stay when the power goes."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from deepcr_lightning.errors import InputError

_PARTIAL = ".partial-"
_KEPT = 20
"""Signs at the end of a file's name that the partial one keeps, so that this is never too long."""
_NAMED: set[Path] = set()
"""Folders whose names are on the disk, and those of the folders above them."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : Path
        Where the file is to stand; its directory is made.
    write : callable
        Gets the path of an empty file with the same ending in the same directory, and writes over it.

    Raises
    ------
    InputError
        If it cannot be written: no permission, disk full. Nothing remains then.
    """
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"{_PARTIAL}{platform.node()}@{os.getpid()}-"
        descriptor, partial = tempfile.mkstemp(prefix=prefix, suffix=f"-{path.name[-_KEPT:]}", dir=path.parent)
        os.close(descriptor)
        write(Path(partial))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o666 & ~umask)
        # A power cut after the name has moved must not leave an empty file under it.
        sync(Path(partial))
        os.replace(partial, path)
        sync_name(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if partial is not None:
            # Gone after the move; and where it cannot be removed, the reason above is the news.
            with suppress(OSError):
                os.remove(partial)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; its directory is made.
    record : mapping of str
        Plain values, all numbers finite.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda partial: partial.write_text(text))


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk and not in the memory of the system alone.

    Parameters
    ----------
    path : Path
        The file or folder.

    Raises
    ------
    OSError
        If the file cannot be written to the disk. File systems that cannot do this with folders are believed.
    """
    if os.name == "nt" and path.is_dir():  # where folders cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def sync_name(path: Path) -> None:
    """Wait until the name of a file or folder is on the disk, and those of the folders that lead there.

    Parameters
    ----------
    path : Path
        The file or folder, which stands under its name.

    Raises
    ------
    OSError
        If the folder that holds it cannot be written to the disk.
    """
    folder = path.absolute().parent
    sync(folder)
    if folder in _NAMED:
        return
    # Hydra, Lightning or this package may just have made them: once is enough.
    for above in folder.parents:
        with suppress(OSError):  # what this user may not read this user has not made
            sync(above)
        if os.path.ismount(above):
            break
    _NAMED.add(folder)


def make_folder_once(folder: Path, fill: Callable[[Path], object], last: str = "") -> bool:
    """Make a folder whole, or find it made.

    If several processes want it at once, one makes it and the others wait. What a killed one has left is removed.

    Parameters
    ----------
    folder : Path
        The folder; that which holds it is made.
    fill : callable
        Gets the path of an empty folder beside it, which becomes the folder.
    last : str
        A file that no whole folder lacks; one without it is made again.

    Returns
    -------
    bool
        Whether it was made now.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if (folder / last).exists():
            return False
        # The lock says that none is at work on these.
        for stale in [folder, *folder.parent.glob(f".{folder.name}-*")]:
            shutil.rmtree(stale, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            fill(partial)
            for path in [*partial.rglob("*"), partial]:
                sync(path)
            os.rename(partial, folder)
            sync_name(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return True


def remove_partials(folder: Path, below: bool = True) -> None:
    """Remove what processes of this machine that were killed left half written.

    Parameters
    ----------
    folder : Path
        Where to look; what a living process or another machine is writing stays.
    below : bool
        Whether to look into the folders below it, too.
    """
    start = f"{_PARTIAL}{platform.node()}@"
    with suppress(OSError):  # a disk that fails here fails again where it matters, in a line
        for path in (folder.rglob if below else folder.glob)(f"{_PARTIAL}*"):
            owner = path.name.removeprefix(start).partition("-")[0]
            if path.name.startswith(start) and owner.isdigit() and not process_alive(int(owner)):
                path.unlink()


def process_alive(process: int) -> bool:
    """Whether a process of this machine runs, by its number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
