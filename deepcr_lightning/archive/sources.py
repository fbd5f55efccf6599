"""Bytes of a file of the archive from any byte on: over its API, or out of its public bucket."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.server import TOKEN, Archive
from deepcr_lightning.errors import InputError

BUCKET = "s3://stpubdata"
"""Public data of HST."""
BLOCK = 2**14
"""Bytes; of a block that is cut off nothing is kept."""
_TIMEOUT = (10, 60)
"""Seconds to connect and between two blocks."""


class NotHereError(Exception):
    """A source does not have a file."""


class StoppedError(Exception):
    """Somebody wants no more."""


class BrokenError(Exception):
    """The connection to a source broke."""


@dataclass(frozen=True)
class Stream:
    """What a source sends.

    Attributes
    ----------
    start : int
        Number of the first byte that comes.
    total : int or None
        Bytes of the whole file, where the source says.
    version : str
        Names this version of the file, so that a download goes on with the same one; empty where the source has none.
    blocks : iterator of bytes
    """

    start: int
    total: int | None
    version: str
    blocks: Iterator[bytes]


Source = Callable[[Product, int, str], AbstractContextManager[Stream]]
"""Opens a file at a byte; at 0 if it has another version than the one that was begun."""


def source_of(archive: Archive, cloud: bool | str) -> Source:
    """Choose where files come from.

    Parameters
    ----------
    archive : Archive
    cloud : bool or str
        Whether the public bucket is asked first, or the address of a copy of it.

    Returns
    -------
    callable
        A `Source`.
    """
    if not cloud:
        return over_api(archive)
    return first_that_has(from_bucket(BUCKET if cloud is True else str(cloud)), over_api(archive))


def over_api(archive: Archive) -> Source:
    """Take files from the archive's server.

    Parameters
    ----------
    archive : Archive

    Returns
    -------
    callable
        A `Source`. It raises InputError if the server refuses a file or does not have it.
    """
    import requests  # astroquery brings it

    @contextmanager
    def opened(product: Product, start: int, version: str) -> Iterator[Stream]:
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": version} if version else {})
        address = f"{archive.server}/api/v0.1/Download/file"
        with _breaking(requests.RequestException):
            response = archive.session.get(
                address, params={"uri": product.uri}, headers=headers, stream=True, timeout=_TIMEOUT
            )
        with response:
            _refuse(product, response.status_code, archive)
            place = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            length = response.headers.get("Content-Length", "")
            first, total = 0, int(length) if length.isdigit() else None
            if response.status_code == 206 and place:
                first, total = int(place[1]), int(place[2])
            blocks = _guarded(response.iter_content(BLOCK), requests.RequestException)
            yield Stream(first, total, _version(response.headers), blocks)

    return opened


def from_bucket(bucket: str) -> Source:
    """Take public files from a bucket, or a copy of it.

    Parameters
    ----------
    bucket : str
        Address that fsspec knows, such as ``s3://stpubdata``; S3 is asked without a login.

    Returns
    -------
    callable
        A `Source`. It raises `NotHereError` for files that are not in it.

    Raises
    ------
    InputError
        If the packages for such addresses are not installed.
    """
    try:
        import fsspec

        kind = bucket.partition("://")[0]
        files: Any = fsspec.filesystem(kind, **({"anon": True} if kind == "s3" else {}))
    except (ImportError, ValueError) as error:
        raise InputError(f"cloud={bucket}: {error}; pip install 'deepcr-lightning[remote]'") from error

    @contextmanager
    def opened(product: Product, start: int, version: str) -> Iterator[Stream]:
        path = f"{bucket}/hst/public/{product.root[:4]}/{product.root}/{product.name}"
        with _breaking(Exception):  # every kind of store has errors of its own
            try:
                about = files.info(path)
            except (FileNotFoundError, PermissionError) as error:
                raise NotHereError(path) from error
            file = files.open(path, "rb")
        now = str(next((about[key] for key in ("ETag", "LastModified", "mtime", "created") if about.get(key)), ""))
        first = start if now == version else 0
        with file:
            file.seek(first)
            blocks = _guarded(iter(lambda: file.read(BLOCK), b""), Exception)
            yield Stream(first, int(about["size"]), now, blocks)

    return opened


def _guarded(blocks: Iterator[bytes], kind: type[Exception]) -> Iterator[bytes]:
    # Around the blocks alone: what whoever takes them meets, such as a full disk, is no broken connection.
    while True:
        with _breaking(kind):
            block = next(blocks, b"")
        if not block:
            return
        yield block


@contextmanager
def _breaking(kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except (InputError, NotHereError):
        raise
    except kind as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        raise BrokenError(f"{type(error).__name__}: {reason}"[:200]) from error


def first_that_has(first: Source, second: Source) -> Source:
    """Take files from one source, and those that it does not have from another."""

    @contextmanager
    def opened(product: Product, start: int, version: str) -> Iterator[Stream]:
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(first(product, start, version))
            except NotHereError:
                stream = stack.enter_context(second(product, start, version))
            yield stream

    return opened


def _version(headers: Any) -> str:
    tag = str(headers.get("ETag", ""))
    # A weak one does not promise the same bytes.
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified", ""))


def _refuse(product: Product, status: int, archive: Archive) -> None:
    if status in (401, 403):
        cure = f"the user of {TOKEN} has no access to it" if archive.authorised else f"set {TOKEN} if it is yours"
        raise InputError(f"{product.name}: is not public yet ({status}); {cure}")
    if status == 404:
        raise InputError(f"{product.name}: the archive lists it but does not have it (404); try again later")
    if status >= 400:
        raise InputError(f"{product.name}: the archive does not send it ({status}); try again later")
