"""Exposures of one field in one filter or two."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure

_MOST_FILTERS = 2


@dataclass(frozen=True)
class Seen:
    """What is known of an exposure before it is measured: its file, visit and filter."""

    file: str
    visit: str
    filter: str


@dataclass(frozen=True)
class Field:
    """An exposure in each filter, of one field.

    Attributes
    ----------
    name : str
        The visit, and a number where it has more than one.
    files : tuple of str
        In the order of the filters.
    """

    name: str
    files: tuple[str, ...]


def choose_filters(seen: Sequence[Seen], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Choose one filter or two, the bluer first.

    Parameters
    ----------
    seen : sequence of Seen
    wanted : sequence of str, optional
        Filters as the user names them; those that are there by default.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If a filter is not there, or there are more than two and none is named.
    """
    there = sorted({exposure.filter for exposure in seen}, key=_wavelength)
    if wanted is None:
        if len(there) > _MOST_FILTERS:
            raise InputError(f"there are {', '.join(there)}; name one or two with filters=[{there[0]},{there[1]}]")
        return tuple(there)
    names = [str(name).upper() for name in wanted]
    missing = [name for name in names if name not in there]
    if missing:
        raise InputError(f"filters={list(wanted)}: no {', '.join(missing)}; there is {', '.join(there)}")
    if not 1 <= len(set(names)) == len(names) <= _MOST_FILTERS:
        raise InputError(f"filters={list(wanted)}: name one filter, or two that differ")
    return tuple(names)


def group_fields(seen: Sequence[Seen], filters: Sequence[str]) -> tuple[list[Field], list[str]]:
    """Pair the exposures of each visit, in their order.

    Parameters
    ----------
    seen : sequence of Seen
    filters : sequence of str
        One or two.

    Returns
    -------
    fields : list of Field
    alone : list of str
        Files in the filters that have no partner.

    Raises
    ------
    InputError
        If no visit has all filters.
    """
    visits: dict[str, dict[str, list[str]]] = defaultdict(lambda: {name: [] for name in filters})
    for exposure in seen:
        if exposure.filter in filters:
            visits[exposure.visit][exposure.filter].append(exposure.file)
    fields, alone = [], []
    for visit, by_filter in sorted(visits.items()):
        sets = list(zip(*by_filter.values(), strict=False))
        names = [visit] if len(sets) == 1 else [f"{visit}-{number}" for number in range(1, len(sets) + 1)]
        fields += [Field(name, tuple(files)) for name, files in zip(names, sets, strict=True)]
        alone += [file for files in by_filter.values() for file in files[len(sets) :]]
    if not fields:
        raise InputError(f"input=: no visit has exposures in both {' and '.join(filters)}; name one with filters=[...]")
    return fields, alone


def check_chips(field: Field, exposures: Sequence[Exposure]) -> None:
    """Raise if the exposures of a field have different chips.

    Parameters
    ----------
    field : Field
    exposures : sequence of Exposure

    Raises
    ------
    InputError
        If they do not.
    """
    layouts = [[(chip.extver, chip.electrons.shape) for chip in exposure.chips] for exposure in exposures]
    if any(layout != layouts[0] for layout in layouts):
        raise InputError(
            f"{field.name}: {' and '.join(field.files)} have different chips, so they do not show one field"
        )


def _wavelength(name: str) -> tuple[int, str]:
    digits = re.search(r"\d+", name)
    return (int(digits.group()) if digits else 0), name
