"""Masks written while the network works on the next exposure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from astropy.io import fits
from numpy.typing import NDArray
from pytorch_lightning.callbacks import BasePredictionWriter

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.deliveries import is_ours
from deepcr_lightning.exposures.exposure import read_exposure, root_of
from deepcr_lightning.exposures.layout import primary_header
from deepcr_lightning.exposures.product_names import PRODUCTS, product_name
from deepcr_lightning.exposures.products import (
    BY_HAND,
    Provenance,
    write_clean_copy,
    write_dq_copy,
    write_mask,
)
from deepcr_lightning.exposures.regions import write_regions
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.prediction.cleaning import clean, summarise
from deepcr_lightning.prediction.fill import DEFAULT, FILLS, Fill
from deepcr_lightning.prediction.mapping import LANES, ExposureMapping, Failure, Mapped, ProbabilityMaps
from deepcr_lightning.prediction.preview import draw_preview
from deepcr_lightning.prediction.reader import Passing
from deepcr_lightning.prediction.summary import CLEANED, Row, Summary

MODEL_DIGITS = 12


class ProductWriter(BasePredictionWriter):
    """Turn probability maps into files, in a thread of its own.

    Parameters
    ----------
    places : dict of Path to Path
        Each input file and its place below the output directory (`exposures.paths.find_exposures`). Files in an
        output directory inside the input's are products of an earlier run and left out.
    output_dir : Path
    provenances : sequence of Provenance
        Provenance of the model and, if it has any, its other parts: thresholds and growth of the masks that each makes.
    summary : Summary
        Gets a row for each exposure.
    settings : ReadSettings, optional
        That the exposures were read with.
    products : sequence of str
        Names of `exposures.product_names.PRODUCTS`: ``mask`` writes ``<root>_crmask.fits``, ``dq_copy`` a copy of the
        input under its own name with `dq_bit` set, ``clean`` a copy ``<root>_crclean.fits`` with the CR pixels filled,
        ``preview`` a picture ``<root>_crpreview.png``, ``regions`` the CRs as ``<root>_crregions.reg`` for DS9.
    dq_bit : int
        A power of 2 up to 32768.
    save_probability : bool
        Add the probability to the mask file.
    overwrite : bool
        Replace products that exist.
    fill : callable
        How ``clean`` fills masked pixels (`prediction.fill`).
    fill_label : str
        Name of that way in headers.
    compress : bool
        Tile-compress masks and probabilities, without loss.
    passing : Passing, optional
        Brings the inputs, and is told when one is done with.
    """

    def __init__(
        self,
        places: dict[Path, Path],
        output_dir: Path,
        provenances: Sequence[Provenance],
        summary: Summary,
        settings: ReadSettings | None = None,
        products: Sequence[str] = ("mask",),
        dq_bit: int = 8192,
        save_probability: bool = False,
        overwrite: bool = False,
        fill: Fill = FILLS[DEFAULT],
        fill_label: str = DEFAULT,
        compress: bool = False,
        passing: Passing | None = None,
    ) -> None:
        super().__init__(write_interval="batch")
        unknown = [name for name in products if name not in PRODUCTS]
        if unknown or not products:
            raise InputError(f"products={list(products)}: choose from {', '.join(PRODUCTS)}")
        if dq_bit not in [1 << n for n in range(16)]:
            raise InputError(f"dq_bit={dq_bit}: must be a power of 2 from 1 to 32768")
        self.places, self.output_dir = _without_products(places, output_dir), output_dir
        self.provenances = {made.sha256: made for made in provenances}
        self.fill, self.fill_label, self.compress = fill, fill_label, compress
        self.products, self.dq_bit = tuple(products), dq_bit
        self.save_probability, self.overwrite = save_probability, overwrite
        self.summary, self.settings, self.passing = summary, settings, passing
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._pending: deque[Future[None]] = deque()
        self._refuse_clashes()

    def outputs(self, path: Path) -> dict[str, Path]:
        """Name the files that come of an input, by product."""
        place = self.output_dir / self.places[path]
        names = {product: product_name(product, root_of(path), path.name) for product in self.products}
        return {product: place.with_name(name) for product, name in names.items()}

    def picture(self, path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the first chip of an input in electrons and, from its products, its mask; both of shape (H, W)."""
        if self.passing is None:
            return self._picture(path)
        self.passing.fetch(path)
        try:
            return self._picture(path)
        finally:
            self.passing.drop(path)

    def _picture(self, path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        chip, outputs = read_exposure(path, self.settings, timed=False).chips[0], self.outputs(path)
        if "mask" in outputs:
            return chip.electrons, fits.getdata(outputs["mask"], ("CRMASK", chip.extver)) > 0
        copy = outputs.get("dq_copy") or outputs.get("clean")
        if copy is None:
            raise InputError(f"products={list(self.products)}: none of them contains the masks")
        made = read_exposure(copy, self.settings, timed=False).chips[0]
        return chip.electrons, ((made.dq & self.dq_bit) > 0) | (made.electrons != chip.electrons)

    def missing(self, path: Path) -> bool:
        """Tell whether a product of an input is still to be made, or is to be made again."""
        return self.overwrite or not all(output.exists() for output in self.outputs(path).values())

    def _refuse_clashes(self) -> None:
        inputs = {path.resolve() for path in self.places}
        owners: dict[Path, Path] = {}
        for path in self.places:
            for output in self.outputs(path).values():
                if output in owners:
                    raise InputError(f"{path} and {owners[output]} would both become {output}; clean them in two runs")
                if output.resolve() in inputs:
                    raise InputError(
                        f"output_dir={self.output_dir}: {output.name} would overwrite an input; choose another"
                    )
                owners[output] = path

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Mapped | Future[Mapped],
        *_: Any,
    ) -> None:
        """Hand an exposure to the writing thread, once it has written the one that is so many lanes before it."""
        self._collect(0 if isinstance(prediction, ProbabilityMaps) else LANES - 1)
        self._pending.append(self._thread.submit(self._write, prediction))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the last exposures."""
        self._collect()
        self._thread.shutdown()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Finish what is under way, and begin with nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if isinstance(pl_module, ExposureMapping):
            pl_module.stop()

    def _collect(self, left: int = 0) -> None:
        while len(self._pending) > left:
            self._pending.popleft().result()

    def _row(self, failure: Failure) -> Row:
        return _made_with(Row(str(failure.path), failure.reason), self.provenance)

    @property
    def provenance(self) -> Provenance:
        """That of the model itself."""
        return next(iter(self.provenances.values()))

    def made_otherwise(self, rows: Iterable[Row]) -> list[Row]:
        """Pick out the rows of products that another model, threshold or growth made."""

        def alike(row: Row, made: Provenance) -> bool:
            # The table keeps six digits.
            same_threshold = math.isclose(row.threshold, made.threshold, rel_tol=1e-5)
            return same_threshold and row.model == made.sha256[:MODEL_DIGITS] and row.grow == made.grow

        known = self.provenances.values()
        return [row for row in rows if row.status == CLEANED and not any(alike(row, made) for made in known)]

    def _write(self, prediction: Mapped | Future[Mapped]) -> None:
        mapped = prediction.result() if isinstance(prediction, Future) else prediction
        path = mapped.path
        try:
            if isinstance(mapped, Failure):
                self.summary.add(self._row(mapped))
            else:
                self._write_products(mapped)
        except InputError as error:
            self.summary.add(self._row(Failure(path, str(error))))
        except Exception as error:  # whatever one exposure meets, the others are finished
            self.summary.add(self._row(Failure(path, f"{path}: {type(error).__name__}: {error}")))
        if self.passing is not None:
            self.passing.drop(path)

    def _write_products(self, prediction: ProbabilityMaps) -> None:
        exposure = prediction.exposure
        provenance = replace(self.provenances[prediction.model.sha256], precision=prediction.precision)
        _refuse_mended(self.output_dir / self.places[exposure.path], exposure.path)
        outputs = self.outputs(exposure.path)
        if not self.overwrite:
            outputs = {product: path for product, path in outputs.items() if not path.exists()}
        cleaned = clean(prediction, provenance, self.fill if {"clean", "preview"} & set(outputs) else None)
        # Before the products: a run that is killed later keeps these, and would never come to their row. If one of them
        # is missing then, the exposure is done again, and the last row of a file counts.
        self.summary.add(_made_with(summarise(prediction, cleaned.found), provenance))
        if "mask" in outputs:
            maps = prediction.maps if self.save_probability else None
            write_mask(outputs["mask"], exposure, cleaned.masks, provenance, maps, self.compress)
        if "dq_copy" in outputs:
            write_dq_copy(outputs["dq_copy"], exposure, cleaned.masks, self.dq_bit, provenance)
        if "regions" in outputs:
            write_regions(outputs["regions"], exposure, cleaned.masks)
        if "preview" in outputs:
            draw_preview(outputs["preview"], exposure, cleaned.masks, cleaned.filled)
        if "clean" in outputs:
            write_clean_copy(outputs["clean"], exposure, cleaned.filled, cleaned.masks, provenance, self.fill_label)


def _made_with(row: Row, made: Provenance) -> Row:
    return replace(row, model=made.sha256[:MODEL_DIGITS], threshold=made.threshold, grow=float(made.grow))


def _without_products(places: dict[Path, Path], output_dir: Path) -> dict[Path, Path]:
    output = output_dir.absolute()
    return {path: place for path, place in places.items() if not _is_product(path, output)}


def _is_product(path: Path, output: Path) -> bool:
    return isinstance(path, Path) and output in path.absolute().parents and is_ours(path)


def _refuse_mended(place: Path, path: Path) -> None:
    mask = place.with_name(product_name("mask", root_of(path), path.name))
    try:
        mended = mask.exists() and BY_HAND in primary_header(mask)
    except (OSError, ValueError):
        return  # no mask file, so nobody mended it
    if mended:
        raise InputError(
            f"{mask}: was edited by hand, so {path.name} was not processed; move the mask away to search again, or "
            "save the other products from the page (view products=)"
        )
