"""How long to wait for an archive that is busy."""

from __future__ import annotations

import logging
from typing import Any

from deepcr_lightning.errors import InputError

log = logging.getLogger(__name__)

_TRIES = 5
_LONGEST = 120.0
"""Seconds; a server that asks for more is left in peace."""
_BUSY = (429, 500, 502, 503, 504)


def patience() -> Any:
    """Make what tells a requests adapter to ask again.

    Returns
    -------
    urllib3.util.Retry
        It asks a busy server again after the time that its Retry-After says, or half a second and then twice as long
        each time, five times in all. It raises InputError if that time is longer than two minutes.
    """
    from urllib3.response import BaseHTTPResponse
    from urllib3.util import Retry

    class Patience(Retry):
        def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
            seconds = super().get_retry_after(response)
            if seconds is not None and seconds > _LONGEST:
                raise InputError(f"the archive is busy and asks to wait for {seconds:.0f} s; try again later")
            if seconds:
                log.info("The archive is busy; waiting for %.0f s", seconds)
            return seconds

    return Patience(
        total=_TRIES, connect=1, backoff_factor=0.5, status_forcelist=_BUSY, allowed_methods=None, raise_on_status=False
    )
