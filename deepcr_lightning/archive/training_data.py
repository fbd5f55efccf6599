"""Exposures and darks of the archive for a training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepcr_lightning.archive.address import archive_addresses, is_address, read_address
from deepcr_lightning.archive.darks import NEAR, DarkWishes
from deepcr_lightning.archive.download_selection import in_all, remembered, require_room, total_bytes
from deepcr_lightning.archive.fetch import fetch, place_of, to_fetch
from deepcr_lightning.archive.server import Archive
from deepcr_lightning.archive.sources import source_of
from deepcr_lightning.errors import InputError

log = logging.getLogger(__name__)


def fetch_training_data(
    science: object, darks: object, filters: str | Sequence[str] | None, folder: Path
) -> tuple[object, object]:
    """Bring what path options name of the archive.

    Parameters
    ----------
    science : object
        Value of ``data.science``: an address or a list of them; any other is left as it is.
    darks : object
        Value of ``data.darks``: ``near``, or ``mast:PROPOSAL`` of a dark programme; any other is left as it is.
    filters : str or sequence of str, optional
        Filters to train on, where an address names none.
    folder : Path
        For selections, files and ``download.csv``, shared by all runs. What was selected once is taken from then on.

    Returns
    -------
    object, object
        Values for both options: lists of files where the archive was asked.

    Raises
    ------
    InputError
        If something is not there, or a file does not come.
    """
    addresses = archive_addresses("data.science", science)
    wishes = _dark_wishes(darks)
    if not addresses:
        if wishes is not None:
            raise InputError(
                f"data.darks={darks}: goes with data.science=mast:...; for your own files fetch darks with "
                "deepcr-lightning download"
            )
        return science, darks
    archive = Archive()
    found: dict[Path, None] = {}  # each once: two addresses may have the same darks
    for text in addresses:
        address = read_address(text)
        wanted = address.wanted
        if address.share != (1, 1):
            raise InputError(f"{text}: share= is for predict; a training takes all of its exposures, or max= of them")
        if not wanted.filters and filters:
            names = [filters] if isinstance(filters, str) else filters
            wanted = replace(wanted, filters=tuple(name.upper() for name in names))
        products = remembered(archive, folder, wanted, wishes)
        missing = to_fetch(products, folder)
        require_room(folder, total_bytes(missing))
        if missing:
            log.info("%s: fetching %s of %s into %s", text, in_all(missing), in_all(products), folder)
        outcome = fetch(products, folder, source_of(archive, address.cloud))
        if outcome.failures:
            raise InputError(
                f"{text}: {len(outcome.failures)} of {len(products)} files could not be downloaded; run the same "
                f"command again. First error: {outcome.failures[0]}"
            )
        found |= dict.fromkeys(place_of(one, folder) for one in products)
    of_kind = {kind: [str(path) for path in found if path.parent.name == kind] for kind in ("science", "darks")}
    return of_kind["science"], darks if wishes is None else of_kind["darks"]


def _dark_wishes(darks: object) -> DarkWishes | None:
    if darks == NEAR:
        return DarkWishes()
    if not is_address(darks):
        return None
    proposal = read_address(str(darks)).wanted.proposal
    if proposal is None:
        raise InputError(f"data.darks={darks}: must be near, or mast: and the number of a dark programme")
    return DarkWishes(proposal)
