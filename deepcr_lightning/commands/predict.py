"""The command of predict.py."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from deepcr_lightning.archive.address import archive_addresses
from deepcr_lightning.archive.passing import PassingExposures
from deepcr_lightning.atomic import remove_partials
from deepcr_lightning.commands.from_config import open_model, plain
from deepcr_lightning.console.arguments import fail
from deepcr_lightning.console.counts import counted
from deepcr_lightning.console.device import choose_device
from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.without_truth import find_plateau, open_darks
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.exposures.products_folder import products_folder
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.inpainting.fill_model import load_fill_model
from deepcr_lightning.inpainting.filler import CosmicRayFiller
from deepcr_lightning.models.model import Model, model_threshold
from deepcr_lightning.prediction.contact_sheet import MOST, draw_contact_sheet
from deepcr_lightning.prediction.fill import NETWORK, fill_named
from deepcr_lightning.prediction.mapping import ExposureMapping
from deepcr_lightning.prediction.mask import whole_rings
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.prediction.reader import ExposureShares
from deepcr_lightning.prediction.summary import CLEANED, ODD_FACTOR, Row, Summary
from deepcr_lightning.prediction.survey_page import INDEX, write_survey_page
from deepcr_lightning.prediction.writer import ProductWriter
from deepcr_lightning.runs.progress import RunProgress, above_the_bar

log = logging.getLogger("predict")


def predict(cfg: DictConfig) -> None:
    """Clean exposures as a config says; exit with status 1 if one failed."""
    choose_device(cfg, half=False)
    model, settings = open_model(cfg), ReadSettings.of(cfg)
    predictor = ExposurePredictor(model, cfg.tile, compile=cfg.compile)
    addresses = archive_addresses("input", cfg.input)
    passing = (
        PassingExposures(addresses, Path(cfg.download_dir).expanduser(), cfg.keep_downloads) if addresses else None
    )
    inputs = find_exposures("input", cfg.input) if passing is None else passing.places
    if cfg.calibrate:
        predictor.plateau = _plateau(cfg, predictor, model, _fetched(inputs, passing), settings)
    target, grow = plain(cfg.threshold), whole_rings(cfg.grow)
    levels = [float(model_threshold(part, target, predictor.plateau)) for part in model.parts]
    provenances = [
        Provenance(part.path.name, part.sha256, level, grow, predictor.plateau)
        for part, level in zip(model.parts, levels, strict=True)
    ]
    output_dir = _output_dir(cfg)
    filler = CosmicRayFiller(load_fill_model(cfg.fill_ckpt_path)) if cfg.fill == NETWORK else None
    summary = Summary(output_dir)
    writer = ProductWriter(
        inputs,
        output_dir,
        provenances,
        summary,
        settings,
        products=[cfg.products] if isinstance(cfg.products, str) else list(cfg.products),
        dq_bit=cfg.dq_bit,
        save_probability=cfg.save_probability,
        overwrite=cfg.overwrite,
        fill=filler or fill_named(cfg.fill),
        fill_label=filler.label if filler else cfg.fill,
        compress=cfg.compress,
        passing=passing,
    )
    remove_partials(output_dir)
    to_do = [path for path in writer.places if writer.missing(path)]
    if passing is not None:
        passing.drop_all_but(to_do)
    if to_do:
        quiet = {"logger": False, "enable_checkpointing": False}
        trainer = instantiate(cfg.trainer, **quiet, callbacks=[writer, RunProgress()], _convert_="all")
        if filler is not None:
            filler.to(trainer.strategy.root_device)
        shares = ExposureShares(list(writer.places), writer.missing, settings, passing)
        try:
            with passing or nullcontext(), above_the_bar():
                trainer.predict(ExposureMapping(predictor, model.card.data.filters), shares, return_predictions=False)
        except (SystemExit, KeyboardInterrupt):  # Lightning ends with the first after an interrupt
            log.warning("Stopped; run the same command again to clean the remaining exposures")
            # Those under way are finished, unless the user asks again: then it ends as by a kill, without a traceback.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise SystemExit(128 + signal.SIGINT) from None
        trainer.strategy.barrier()
        if not trainer.is_global_zero:
            return
    report(writer, to_do)


def _output_dir(cfg: DictConfig) -> Path:
    if cfg.output_dir is None:
        folder = products_folder(plain(cfg.input))
        log.info("output_dir= is not given: products go to %s", folder)
        return folder
    if "://" in str(cfg.output_dir):
        raise InputError(f"output_dir={cfg.output_dir}: must be a local directory")
    return Path(cfg.output_dir).expanduser()


def _plateau(
    cfg: DictConfig, predictor: ExposurePredictor, model: Model, paths: Iterable[Path], settings: ReadSettings
) -> float:
    darks = None
    if cfg.darks is not None:
        darks = open_darks(cfg.store_dir, list(find_exposures("darks", cfg.darks)), settings)
    level = find_plateau(model, predictor, _readable(paths, settings), darks)
    log.info("Maps are divided by %.3f, the value at which they saturate", level)
    return level


def _fetched(paths: Iterable[Path], passing: PassingExposures | None) -> Iterator[Path]:
    for path in paths:
        if passing is not None:
            with suppress(InputError):
                passing.fetch(path)
        yield path


def _readable(paths: Iterable[Path], settings: ReadSettings) -> Iterator[Exposure]:
    # What cannot be read is reported when its turn to be cleaned comes.
    for path in paths:
        with suppress(InputError):
            yield read_exposure(path, settings, timed=False)


def report(writer: ProductWriter, to_do: list[Path]) -> None:
    """Say what was cleaned, kept and not cleaned; exit with status 1 if anything failed."""
    files, table = {str(path) for path in to_do}, writer.summary.tidy()
    rows = [row for row in table if row.file in files]
    failures = [row for row in rows if row.status != CLEANED]
    for row in rows:
        if row.status == CLEANED:
            known = row.star_width > 0  # NaN where there are too few stars
            stars = f"stars {row.star_width:.1f} pixels wide" if known else "width of its stars unknown"
            log.info("%s: %.2f %% flagged, %s", Path(row.file).name, 100 * row.flagged, stars)
    kept = len(writer.places) - len(to_do)
    if kept:
        whose = "its" if kept == 1 else "their"
        log.info("%s already had %s products; use overwrite=true to make them again", counted(kept, "exposure"), whose)
        earlier = {str(path) for path in writer.places} - files
        other = writer.made_otherwise(row for row in table if row.file in earlier)
        if other:
            log.warning(
                "%s of them %s made with another network, threshold or growth, such as %s (network %s, threshold %g, "
                "grow %g); use overwrite=true to make all with the present settings",
                len(other),
                "was" if len(other) == 1 else "were",
                Path(other[0].file).name,
                other[0].model,
                other[0].threshold,
                other[0].grow,
            )
    threshold, cleaned = writer.provenance.threshold, len(rows) - len(failures)
    log.info("%s cleaned, threshold %g, in %s", counted(cleaned, "exposure"), threshold, writer.output_dir)
    show_odd(writer, rows)
    show_previews(writer, table)
    if failures:
        lines = "\n".join(f"  {row.status}" for row in failures)
        were = "was" if len(rows) == 1 else "were"
        fail(f"{len(failures)} of {counted(len(rows), 'exposure')} {were} not cleaned:\n{lines}")


def show_odd(writer: ProductWriter, rows: list[Row]) -> None:
    """Draw the exposures whose flagged share is far from the expected one, if there are any."""
    sheet = writer.output_dir / "odd_exposures.png"
    odd = sorted((row for row in rows if row.oddity > ODD_FACTOR), key=lambda row: -row.oddity)
    paths = {str(path): path for path in writer.places}
    try:
        sheet.unlink(missing_ok=True)
        if odd:
            draw_contact_sheet(sheet, [(row, *writer.picture(paths[row.file])) for row in odd[:MOST]])
    except (InputError, OSError) as error:
        log.warning("%s could not be drawn (%s)", sheet, error)
    if odd:
        log.warning(
            "%s %s a flagged share far from the expected one; the most extreme are in %s, all in %s",
            counted(len(odd), "exposure"),
            "has" if len(odd) == 1 else "have",
            sheet,
            writer.summary.path,
        )


def show_previews(writer: ProductWriter, table: list[Row]) -> None:
    """Put the previews of a survey on one page, if they were asked for."""
    if "preview" not in writer.products:
        return
    index, paths = writer.output_dir / INDEX, {str(path): path for path in writer.places}
    known = [(row, writer.outputs(paths[row.file])["preview"]) for row in table if row.file in paths]
    try:
        write_survey_page(index, known)
        log.info("All previews are on %s", index)
    except (InputError, OSError) as error:
        log.warning("%s could not be written (%s)", index, error)
