"""Science exposures that the archive has, or what it has instead."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from astropy.time import Time

from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.rows import ArchiveFile, Observation
from deepcr_lightning.archive.server import Archive
from deepcr_lightning.archive.wanted import CAMERAS, PRODUCTS, Wanted
from deepcr_lightning.errors import InputError

_EXPOSURE = re.compile(r"([a-z][a-z0-9]{8})_(flc|flt|raw)\.fits", re.I)


def find_science(archive: Archive, wanted: Wanted) -> list[Product]:
    """Find the science exposures that are wanted.

    Parameters
    ----------
    archive : Archive
    wanted : Wanted

    Returns
    -------
    list of Product
        One file an exposure, by their start.

    Raises
    ------
    InputError
        If there is none; the message names what there is.
    """
    observations = _narrowed(_observations(archive, wanted), wanted)
    files = products_of(archive, observations, "science")
    if wanted.root is not None:
        # An association is one of its exposures, if it is not all of them.
        mine = [file for file in files if file.root == wanted.root]
        asked = {one.obsid for one in observations if one.name == wanted.root}
        files = mine or ([] if not asked else files)
        if not files:
            raise InputError(f"the archive has no exposure {wanted.root} of {', '.join(CAMERAS)}; check the spelling")
    found = best_of(files, [wanted.product] if wanted.product else PRODUCTS)
    if not found:
        there = ", ".join(sorted({f"_{file.suffix}" for file in files})) or "neither _flc nor _flt nor _raw"
        raise InputError(f"{wanted.words}: {_asked_product(wanted)}; the archive has {there} of {_count(observations)}")
    return found if wanted.most is None else spread(found, wanted.most)


def products_of(archive: Archive, observations: Sequence[Observation], kind: str) -> list[Product]:
    """List the exposures in some observations, in every calibration that there is.

    Parameters
    ----------
    archive : Archive
    observations : sequence of Observation
    kind : str
        Kind of the products, for messages.

    Returns
    -------
    list of Product
        By their start, each file once; combined and drizzled products are left out.
    """
    by_name = {one.name: one for one in observations}
    by_number = {one.obsid: one for one in observations}
    found: dict[str, Product] = {}
    for file in archive.files([one.obsid for one in observations]):
        match = _EXPOSURE.fullmatch(file.name)
        own = by_name.get(match[1].lower()) if match else None
        source = own or by_number.get(file.obsid)
        if match and source and (own or file.name not in found):
            found[file.name] = _product(file, source, kind, alone=own is not None)
    return sorted(found.values(), key=lambda one: (one.start, one.name))


def best_of(products: Iterable[Product], suffixes: Sequence[str | None]) -> list[Product]:
    """Keep one file an exposure.

    Parameters
    ----------
    products : iterable of Product
    suffixes : sequence of str
        Those that will do, the best first.

    Returns
    -------
    list of Product
        In the order of the products.
    """
    best: dict[str, Product] = {}
    for product in products:
        if product.suffix in suffixes:
            there = best.get(product.root)
            if there is None or suffixes.index(product.suffix) < suffixes.index(there.suffix):
                best[product.root] = product
    return list(best.values())


def spread(products: Sequence[Product], most: int) -> list[Product]:
    """Take exposures of as many visits as there are, over their whole time: a training splits by visit.

    Parameters
    ----------
    products : sequence of Product
    most : int

    Returns
    -------
    list of Product
        At most so many, in the order of the products.
    """
    seen: dict[str, int] = {}
    rounds: dict[int, list[int]] = {}
    for place, product in enumerate(products):
        turn = seen[product.visit] = seen.get(product.visit, -1) + 1
        rounds.setdefault(turn, []).append(place)
    taken: list[int] = []
    for _, places in sorted(rounds.items()):
        taken += [places[number] for number in evenly(len(places), most - len(taken))]
    return [products[place] for place in sorted(taken)]


def evenly(count: int, most: int) -> list[int]:
    """Take at most so many of the numbers from 0 to a count, evenly spaced and the first among them."""
    return list(range(count)) if count <= most else [number * count // most for number in range(most)]


def day(mjd: float) -> str:
    """Write a date as people do, such as ``2022-07-14``."""
    return str(Time(mjd, format="mjd").strftime("%Y-%m-%d"))


def _observations(archive: Archive, wanted: Wanted) -> list[Observation]:
    criteria: dict[str, Any] = {}
    if wanted.proposal:
        criteria["proposal_id"] = wanted.proposal
    if wanted.target:
        criteria["target_name"] = wanted.target
    if wanted.cone:
        ra, dec, radius = wanted.cone
        from astropy.coordinates import SkyCoord

        criteria |= {"coordinates": SkyCoord(ra, dec, unit="deg"), "radius": radius}
    if wanted.root:
        # As a member of an association it may be known by that alone: the visit has it.
        for name in (wanted.root, wanted.root[:6] + "*"):
            found = archive.observations(obs_id=name)
            if found:
                return found
        raise InputError(f"{wanted.words}: the archive has neither it nor its visit; check the spelling")
    found = archive.observations(**criteria, intentType="science")
    if not found and wanted.proposal and not (wanted.target or wanted.cone):
        raise InputError(f"{wanted.words}: the archive has no science exposures of HST in it; check the number")
    if not found:
        of_proposal = archive.observations(proposal_id=wanted.proposal, intentType="science") if wanted.proposal else []
        there = f"; targets of the proposal: {_some({one.target for one in of_proposal})}" if of_proposal else ""
        raise InputError(f"{wanted.words}: the archive has no science exposures of HST there{there}")
    return found


def _narrowed(observations: list[Observation], wanted: Wanted) -> list[Observation]:
    cameras = (wanted.camera,) if wanted.camera else CAMERAS
    by_camera = [one for one in observations if one.camera in cameras]
    if not by_camera:
        there = _some({one.camera for one in observations})
        raise InputError(f"{wanted.words}: no exposure is of {' or '.join(cameras)}; there are {there}")
    filters = set(wanted.filters)
    by_filter = [one for one in by_camera if not filters or filters & set(one.filters)]
    if not by_filter:
        there = _some({name for one in by_camera for name in one.filters})
        raise InputError(f"filter={','.join(wanted.filters)}: {wanted.words} has no such exposure; it has {there}")
    if wanted.dates is None:
        return by_filter
    first, last = wanted.dates
    by_date = [one for one in by_filter if first <= one.start < last]
    if not by_date:
        there = f"{day(by_filter[0].start)} to {day(by_filter[-1].start)}"
        raise InputError(f"dates=[{day(first)},{day(last)}]: {wanted.words} was observed from {there}")
    return by_date


def _product(file: ArchiveFile, source: Observation, kind: str, alone: bool) -> Product:
    return Product(
        name=file.name.lower(),
        uri=file.uri,
        size=file.size,
        kind=kind,
        camera=source.camera,
        filter=source.filters[0] if source.filters else "",
        target=source.target,
        proposal=source.proposal,
        start=source.start,
        exposure_time=source.exposure_time if alone else math.nan,
        public=file.public,
    )


def _asked_product(wanted: Wanted) -> str:
    return f"product={wanted.product} is not there" if wanted.product else "there is no calibrated exposure"


def _count(observations: Sequence[Observation]) -> str:
    return f"{len(observations)} observation{'s' * (len(observations) != 1)}"


def _some(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")
