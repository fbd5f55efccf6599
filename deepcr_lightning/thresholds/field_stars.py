"""Photometry of a field at every threshold, several chips and thresholds at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, as_completed

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from deepcr_lightning.exposures.exposure import Chip, Exposure
from deepcr_lightning.photometry.measure import ChipReference, measure, prepare
from deepcr_lightning.photometry.star_lists import Stars, find_shift, join_filters
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.thresholds.good_stars import Cuts, good_stars
from deepcr_lightning.thresholds.mapped import Mapped
from deepcr_lightning.thresholds.star_counts import ChipStars, chip_stars

_REFERENCE_THRESHOLD = 0.5


def zeropoint(exposure: Exposure) -> float:
    """AB magnitude of an electron a second; 0 where it is not known, so that magnitudes are instrumental."""
    return exposure.row.zeropoints.get(exposure.filter, 0.0)


def masks_of(probability: NDArray[np.float32], usable: NDArray[np.bool_], thresholds: Sequence[float]) -> list[NDArray]:
    """Masks of a chip: none, then one a threshold."""
    return [np.zeros(usable.shape, bool), *(threshold_mask(probability, level, usable) for level in thresholds)]


def measure_field(
    field: str,
    members: Sequence[Mapped],
    thresholds: Sequence[float],
    cuts: Cuts,
    executor: Executor,
    done: Callable[[], object],
) -> list[ChipStars]:
    """Measure the stars of a field without a mask and with each.

    Parameters
    ----------
    field : str
    members : sequence of Mapped
        An exposure in each of one or two filters.
    thresholds : sequence of float
    cuts : Cuts
    executor : Executor
    done : callable
        Called once for each filter, chip and mask (none is one, and that of classic rejection).

    Returns
    -------
    list of ChipStars
        One a chip.
    """
    references = {}
    for nth, member in enumerate(members):
        for number, chip in enumerate(member.exposure.chips):
            name = f"{member.exposure.root} chip {chip.extver}"
            task = executor.submit(_prepare, chip, member.maps[number], name)
            references[number, nth] = task
    measured: dict[tuple[int, int], list[Future[Table]]] = {}
    for (number, nth), task in references.items():
        member = members[nth]
        usable = ~member.exposure.chips[number].unusable
        masks = masks_of(member.maps[number], usable, thresholds)
        if _have_classic(members):
            masks.append(np.asarray(member.classic)[number] & usable)
        measured[number, nth] = _measurements(task.result(), masks, executor, done)
    for task in as_completed({task for tasks in measured.values() for task in tasks}):
        task.result()
    return [_chip(f"{field} chip {n + 1}", n, members, measured, cuts) for n in range(len(members[0].exposure.chips))]


def _prepare(chip: Chip, probability: NDArray[np.float32], name: str) -> ChipReference:
    mask = threshold_mask(probability, _REFERENCE_THRESHOLD, ~chip.unusable, grow=1)
    return prepare(chip.electrons, chip.unusable, mask, name)


def _measurements(
    reference: ChipReference, masks: Sequence[NDArray[np.bool_]], executor: Executor, done: Callable[[], object]
) -> list[Future[Table]]:
    """Measure under each mask; where one is the same as that before it, so are its stars."""
    tasks: list[Future[Table]] = []
    for nth, mask in enumerate(masks):
        if nth and np.array_equal(mask, masks[nth - 1]):
            tasks.append(tasks[-1])
            done()
        else:
            tasks.append(executor.submit(measure, reference, mask))
            tasks[-1].add_done_callback(lambda _: done())
    return tasks


def _chip(
    name: str,
    number: int,
    members: Sequence[Mapped],
    measured: dict[tuple[int, int], list[Future[Table]]],
    cuts: Cuts,
) -> ChipStars:
    good: list[list[Table]] = []
    for nth, member in enumerate(members):
        catalogues = [_with_magnitudes(task.result(), member.exposure) for task in measured[number, nth]]
        good.append([table[good_stars(table, cuts, name)] for table in catalogues])
    shift = find_shift(good[0][0], good[1][0]) if len(members) == 2 else (0.0, 0.0)
    known = [stars for stars in (member.chip_stars(number) for member in members) if stars is not None]
    struck = [member.cosmic_rays[number] for member in members if member.cosmic_rays is not None]
    lists: list[Stars] = [
        join_filters(tables, shift, known or None, struck or None) for tables in zip(*good, strict=True)
    ]
    classic = lists.pop() if _have_classic(members) else None
    shape = members[0].exposure.chips[number].electrons.shape
    return chip_stars(name, (shape[0], shape[1]), lists[0], lists[1:], classic)


def _have_classic(members: Sequence[Mapped]) -> bool:
    return all(member.classic is not None for member in members)


def _with_magnitudes(catalogue: Table, exposure: Exposure) -> Table:
    table = catalogue.copy()
    rate = np.maximum(np.asarray(table["flux"], float), 1e-3) / exposure.exposure_time
    table["magnitude"] = zeropoint(exposure) - 2.5 * np.log10(rate)
    return table
