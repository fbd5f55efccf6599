"""A mended mask, written as predict.py writes masks, and never over somebody else's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from deepcr_lightning.atomic import remove_partials
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.product_names import product_name
from deepcr_lightning.exposures.products import write_clean_copy, write_dq_copy, write_mask
from deepcr_lightning.exposures.regions import write_regions
from deepcr_lightning.prediction.fill import FILLS
from deepcr_lightning.viewer.opened import OpenExposure, stamp_of

SAVED = ("mask", "dq_copy", "clean", "regions")
"""Products that the page writes."""


def save(
    opened: OpenExposure,
    products: Sequence[str] = ("mask",),
    fill: str = "median_5",
    dq_bit: int = 8192,
    save_probability: bool = True,
    compress: bool = False,
) -> list[Path]:
    """Write the mask of an exposure as it stands, and the products made of it.

    Parameters
    ----------
    opened : OpenExposure
        Its `stamp` and `saved_at` are brought up to date.
    products : sequence of str
        Names in `SAVED`, as in predict.py; the mask is always written.
    fill : str
        Name in `prediction.fill.FILLS`.
    dq_bit : int
    save_probability : bool
        Keep the map in the mask file, so that the threshold can be moved again without the network.
    compress : bool

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If the mask file has changed since it was read, or a file cannot be written.
    """
    exposure, path = opened.exposure, opened.mask_path
    masks = [opened.mask(chip) for chip in range(len(exposure.chips))]
    grow = opened.grow if opened.maps is not None else opened.provenance.grow
    provenance = replace(opened.provenance, threshold=opened.threshold, grow=grow, by_hand=opened.by_hand())
    places = {product: path.with_name(product_name(product, exposure.root, exposure.path.name)) for product in products}
    with _locked(path):
        if stamp_of(path) != opened.stamp:
            raise InputError(
                f"{path.name} was changed since this window read it, by another window or program. It was not saved; "
                "open the exposure again to see the other mask"
            )
        # Copies first: the mask says that all is done.
        if "dq_copy" in places:
            write_dq_copy(places["dq_copy"], exposure, masks, dq_bit, provenance)
        if "clean" in places:
            chips = zip(exposure.chips, masks, strict=True)
            filled = [FILLS[fill](chip.electrons, mask, ~chip.unusable) for chip, mask in chips]
            write_clean_copy(places["clean"], exposure, filled, masks, provenance, fill)
        if "regions" in places:
            write_regions(places["regions"], exposure, masks)
        maps = opened.maps if save_probability else None
        # Without the map nobody could tell again which marks made a difference.
        marks = opened.mending.marks if maps else [opened.differences(chip) for chip in range(len(masks))]
        write_mask(path, exposure, masks, provenance, maps, compress, marks)
        opened.stamp = stamp_of(path)
    opened.saved_at = (opened.rung, opened.grow, opened.mending.state)
    return [*(place for product, place in places.items() if product != "mask"), path]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            remove_partials(path.parent, below=False)
            yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
