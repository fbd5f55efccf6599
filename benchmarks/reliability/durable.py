"""What would still be there if the power went now: contents and names that a program has waited for."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def noted_syncs(notes: Path) -> Iterator[None]:
    """Note what `os.fsync` puts on the disk: the state of a file, or the names in a folder.

    Parameters
    ----------
    notes : Path
        File that gets a line each, from all forks that begin meanwhile.
    """
    true = os.fsync
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        entries = {}
        if stat.S_ISDIR(status.st_mode):
            for name in os.listdir(descriptor):
                with suppress(OSError):  # another process has removed it meanwhile
                    entries[name] = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_ino
        true(descriptor)
        os.write(file, (json.dumps([status.st_ino, status.st_mtime_ns, status.st_size, entries]) + "\n").encode())

    os.fsync = fsync
    try:
        yield
    finally:
        os.fsync = true
        os.close(file)


def lost(folder: Path, notes: Path) -> dict[Path, str]:
    """Tell what a power cut could take from a folder.

    Parameters
    ----------
    folder : Path
        What was written there, while `noted_syncs` looked.
    notes : Path
        Its notes.

    Returns
    -------
    dict of Path to str
        ``content`` or ``name`` by files and folders. Empty files have no content to lose.
    """
    contents, names = set(), set()
    for line in notes.read_text().splitlines():
        inode, changed, size, entries = json.loads(line)
        contents.add((inode, changed, size))
        names |= {(inode, name, of) for name, of in entries.items()}
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status, above = path.stat(), path.parent.stat()
        if path.is_file() and status.st_size and (status.st_ino, status.st_mtime_ns, status.st_size) not in contents:
            found[path] = "content"
        elif (above.st_ino, path.name, status.st_ino) not in names:
            found[path] = "name"
    return found
