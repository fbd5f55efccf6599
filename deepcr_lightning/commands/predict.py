"""Clean exposures as predict.py is told to."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.arguments import fail
from deepcr_lightning.command import choose_device
from deepcr_lightning.console.counts import counted
from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.without_truth import find_plateau, open_darks
from deepcr_lightning.exposures.atomic import remove_partials
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.prediction.contact_sheet import MOST, draw_contact_sheet
from deepcr_lightning.prediction.fill import NETWORK
from deepcr_lightning.prediction.mask import whole_rings
from deepcr_lightning.prediction.network_fill import CosmicRayFiller
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.prediction.reader import ExposureShares
from deepcr_lightning.prediction.summary import CLEANED, ODD_FACTOR, Row, Summary
from deepcr_lightning.prediction.unlike_training import Seen
from deepcr_lightning.prediction.writer import ProductWriter
from deepcr_lightning.training.checkpoint import Model, load_model, model_threshold
from deepcr_lightning.training.fill_checkpoint import load_fill_model

log = logging.getLogger("predict")


def predict(cfg: DictConfig) -> None:
    """Clean exposures as a config says; exit with status 1 if one failed."""
    choose_device(cfg)
    if cfg.output_dir is None:
        raise InputError("output_dir= is not given; name the directory for the masks")
    if cfg.ckpt_path is None:
        raise InputError("ckpt_path= is not given; name the best.ckpt of a run")
    model = load_model(cfg.ckpt_path)
    model.introduce()
    target: Any = OmegaConf.to_container(cfg.threshold) if OmegaConf.is_config(cfg.threshold) else cfg.threshold
    settings = ReadSettings.of(cfg)
    predictor = ExposurePredictor(model, cfg.tile, compile=cfg.compile)
    inputs = find_exposures("input", cfg.input)
    if cfg.calibrate:
        predictor.plateau = _plateau(cfg, predictor, model, list(inputs), settings)
    threshold = model_threshold(model, target, predictor.plateau)
    grow = whole_rings(cfg.grow)
    if "://" in str(cfg.output_dir):
        raise InputError(f"output_dir={cfg.output_dir}: must be a local directory")
    output_dir = Path(cfg.output_dir).expanduser()
    if cfg.fill == NETWORK and cfg.fill_ckpt_path is None:
        raise InputError("fill=network needs fill_ckpt_path=, the best.ckpt of a run of train.py experiment=inpaint")
    filler = CosmicRayFiller(load_fill_model(cfg.fill_ckpt_path)) if cfg.fill == NETWORK else None
    summary = Summary(output_dir)
    writer = ProductWriter(
        inputs,
        output_dir,
        Provenance(model.path.name, model.sha256, float(threshold), grow, predictor.plateau),
        summary,
        settings,
        cr_share_rate=float(model.description["data"].get("cr_share_rate", "nan")),
        seen=Seen.of(model.description["data"]),
        products=[cfg.products] if isinstance(cfg.products, str) else list(cfg.products),
        dq_bit=cfg.dq_bit,
        save_probability=cfg.save_probability,
        overwrite=cfg.overwrite,
        fill=cfg.fill,
        filler=filler,
        compress=cfg.compress,
    )
    remove_partials(output_dir)
    to_do = [path for path in writer.places if writer.missing(path)]
    if to_do:
        quiet = {"logger": False, "enable_checkpointing": False}
        trainer = instantiate(cfg.trainer, **quiet, callbacks=[writer], _convert_="all")
        if filler is not None:
            filler.to(trainer.strategy.root_device)
        shares = ExposureShares(list(writer.places), writer.missing, settings)
        try:
            trainer.predict(predictor, shares, return_predictions=False)
        except (SystemExit, KeyboardInterrupt):  # Lightning ends with the first after an interrupt
            log.warning("Stopped; the same command goes on with the exposures that are left")
            raise SystemExit(128 + signal.SIGINT) from None
        trainer.strategy.barrier()
        if not trainer.is_global_zero:
            return
    report(writer, to_do)


def _plateau(
    cfg: DictConfig, predictor: ExposurePredictor, model: Model, paths: list[Path], settings: ReadSettings
) -> float:
    darks = None
    if cfg.darks is not None:
        darks = open_darks(cfg.store_dir, list(find_exposures("darks", cfg.darks)), settings)
    level = find_plateau(model, predictor, _readable(paths, settings), darks)
    log.info("Maps are divided by %.3f, where they saturate", level)
    return level


def _readable(paths: list[Path], settings: ReadSettings) -> Iterator[Exposure]:
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
        log.info("%s had their products already; overwrite=true makes them again", counted(kept, "exposure"))
        earlier = {str(path) for path in writer.places} - files
        other = writer.made_otherwise(row for row in table if row.file in earlier)
        if other:
            log.warning(
                "%d of them were made with another network, threshold or growth, such as %s (network %s, threshold %g, "
                "grow %g); overwrite=true makes them as asked for now",
                len(other),
                Path(other[0].file).name,
                other[0].model,
                other[0].threshold,
                other[0].grow,
            )
    threshold, cleaned = writer.provenance.threshold, len(rows) - len(failures)
    log.info("%s cleaned, threshold %g, in %s", counted(cleaned, "exposure"), threshold, writer.output_dir)
    show_odd(writer, rows)
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
            "%s %s a flagged share far from the expected one; the oddest are in %s, all in %s",
            counted(len(odd), "exposure"),
            "has" if len(odd) == 1 else "have",
            sheet,
            writer.summary.path,
        )
