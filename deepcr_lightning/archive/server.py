"""Queries of the archive, through astroquery."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from deepcr_lightning.archive.patience import patience
from deepcr_lightning.archive.rows import ArchiveFile, Observation
from deepcr_lightning.errors import InputError

SERVER = "DEEPCR_LIGHTNING_MAST"
"""Environment variable with the address of another server than MAST's own."""
TOKEN = "MAST_API_TOKEN"
"""Environment variable, astroquery's own, with the token of a user who may see proprietary data."""
_BATCH = 100


class Archive:
    """A connection to MAST.

    The address is that of MAST, or what the environment variable ``DEEPCR_LIGHTNING_MAST`` says. A token in
    ``MAST_API_TOKEN`` opens what is not public yet.

    Raises
    ------
    InputError
        If astroquery is not installed; at the first request, if the token is refused or the server cannot be reached.
    """

    def __init__(self) -> None:
        try:
            from astroquery.mast import ObservationsClass, conf
            from requests.adapters import HTTPAdapter
        except ImportError as error:
            raise InputError(
                f"the archive needs further packages ({error}); pip install 'deepcr-lightning[archive]'"
            ) from error
        self.server = os.environ.get(SERVER, conf.server).rstrip("/")
        with conf.set_temp("server", self.server):
            self._client = ObservationsClass()
        portal = self._client._portal_api_connection
        if self.server != type(portal).MAST_REQUEST_URL.removesuffix("/api/v0/invoke"):
            # astroquery fixes its addresses when it is imported.
            portal.MAST_REQUEST_URL = f"{self.server}/api/v0/invoke"
            portal.COLUMNS_CONFIG_URL = f"{self.server}/portal/Mashup/Mashup.asmx/columnsconfig"
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # an error says it in the end
        for scheme in ("https://", "http://"):
            self._client._session.mount(scheme, HTTPAdapter(pool_maxsize=16, max_retries=patience()))
        self._token, self._lock = os.environ.get(TOKEN, ""), Lock()

    @property
    def authorised(self) -> bool:
        """Whether there is a token."""
        return bool(self._token)

    @property
    def session(self) -> Any:
        """The requests session of the connection, logged in if there is a token."""
        return self._connected()._session

    def _connected(self) -> Any:
        from astroquery.exceptions import LoginError

        with self._lock:
            if self._token and not self._client.authenticated():
                try:
                    with self._answering():
                        self._client.login(self._token)
                except LoginError:
                    raise InputError(
                        f"{TOKEN}: the archive refuses this token; make a new one at "
                        "https://auth.mast.stsci.edu/tokens, or unset it for public data"
                    ) from None
        return self._client

    def observations(self, **criteria: Any) -> list[Observation]:
        """Find observations of HST.

        Parameters
        ----------
        **criteria
            As of astroquery's ``Observations.query_criteria``.

        Returns
        -------
        list of Observation
            By their start.

        Raises
        ------
        InputError
            If the archive cannot be reached, refuses, or answers with other columns.
        """
        client = self._connected()
        with self._answering():
            table = client.query_criteria(obs_collection="HST", project="HST", **criteria)
        if not len(table):
            return []
        names = ("obsid", "obs_id", "instrument_name", "filters", "target_name", "proposal_id", "t_min", "t_exptime")
        rows = zip(*(_column(table, name) for name in names), strict=True)
        found = [
            Observation(
                str(obsid),
                str(name).lower(),
                str(camera).upper(),
                tuple(part.strip().upper() for part in str(filters).split(";") if not part.upper().startswith("CLEAR")),
                str(target),
                str(proposal),
                float(start),
                float(seconds),
            )
            for obsid, name, camera, filters, target, proposal, start, seconds in rows
            if np.isfinite(start)  # one that is planned has no start
        ]
        return sorted(found, key=lambda one: (one.start, one.name))

    def files(self, obsids: Sequence[str]) -> list[ArchiveFile]:
        """List the files of observations.

        Parameters
        ----------
        obsids : sequence of str

        Returns
        -------
        list of ArchiveFile

        Raises
        ------
        InputError
            As `observations`.
        """
        found, client = [], self._connected()
        for first in range(0, len(obsids), _BATCH):
            with self._answering():
                table = client.get_product_list(list(obsids[first : first + _BATCH]))
            if not len(table):
                continue
            # The file of a member of an association has the member's number, and that of the association as its parent.
            parent = "parent_obsid" if "parent_obsid" in table.colnames else "obsID"
            rights = _column(table, "dataRights") if "dataRights" in table.colnames else ["PUBLIC"] * len(table)
            columns = (_column(table, name) for name in (parent, "productFilename", "dataURI", "size"))
            for obsid, name, uri, size, right in zip(*columns, rights, strict=True):
                found.append(ArchiveFile(str(obsid), str(name), str(uri), int(size), str(right).upper() == "PUBLIC"))
        return found

    @contextmanager
    def _answering(self) -> Iterator[None]:
        import requests
        from astroquery.exceptions import InvalidQueryError, NoResultsWarning, RemoteServiceError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoResultsWarning)  # which the messages of `search` tell better
                yield
        except (requests.JSONDecodeError, KeyError) as error:
            raise InputError(
                f"{self.server}: the archive's answer is not as expected ({error!r}); try again later"
            ) from error
        except (requests.HTTPError, requests.exceptions.RetryError) as error:
            raise InputError(
                f"{self.server}: the archive does not answer ({_short(error)}); try again later"
            ) from error
        except (requests.RequestException, TimeoutError) as error:
            raise InputError(f"{self.server}: cannot be reached ({_short(error)}); check the network") from error
        except (InvalidQueryError, RemoteServiceError) as error:
            raise InputError(f"{self.server}: the archive refuses the query ({_short(error)})") from error


def _column(table: Any, name: str) -> list[Any]:
    if name not in table.colnames:
        there = ", ".join(table.colnames)
        raise InputError(
            f"the archive's table has no column {name} any more (it has {there}); a newer version may know it"
        )
    return np.asarray(table[name]).tolist()


def _short(error: BaseException) -> str:
    cause = getattr(error, "args", None) or [error]
    reason = getattr(cause[0], "reason", cause[0])
    text = re.sub(r"^HTTPS?Connection(Pool)?\(.*?\): ", "", str(reason))
    return text.splitlines()[0][:200] if text else type(error).__name__
