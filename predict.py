"""Find the cosmic rays of exposures: python predict.py ckpt_path=.../best.ckpt input=DIR output_dir=DIR."""

from __future__ import annotations

import logging
from operator import itemgetter
from pathlib import Path
from typing import Any

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

from deepcr_lightning.command import choose_device, command, fail
from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.without_truth import find_plateau, open_darks
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.prediction.predictor import ExposurePredictor, Failure
from deepcr_lightning.prediction.reader import ExposureReader
from deepcr_lightning.prediction.writer import ProductWriter
from deepcr_lightning.training.checkpoint import Model, load_model, model_threshold

log = logging.getLogger("predict")


@hydra.main(version_base="1.3", config_path="configs", config_name="predict")
def main(cfg: DictConfig) -> None:
    """Compose the config, build the parts, clean every exposure, and report those that failed."""
    with command(cfg):
        predict(cfg)


def predict(cfg: DictConfig) -> None:
    """Clean exposures as a config says; exit with status 1 if one failed."""
    choose_device(cfg)
    if cfg.output_dir is None:
        raise InputError("output_dir= is not given; name the directory for the masks")
    if cfg.ckpt_path is None:
        raise InputError("ckpt_path= is not given; name the best.ckpt of a run")
    model = load_model(cfg.ckpt_path)
    target: Any = OmegaConf.to_container(cfg.threshold) if OmegaConf.is_config(cfg.threshold) else cfg.threshold
    settings = ReadSettings(cfg.units, cfg.gain, cfg.exposure_time)
    predictor = ExposurePredictor(model, cfg.tile)
    inputs = find_exposures("input", cfg.input)
    if cfg.calibrate:
        predictor.plateau = _plateau(cfg, predictor, model, list(inputs), settings)
    threshold = model_threshold(model, target, predictor.plateau)
    if cfg.grow < 0 or cfg.grow != int(cfg.grow):
        raise InputError(f"grow={cfg.grow}: must be 0 or more whole pixels")
    writer = ProductWriter(
        inputs,
        Path(cfg.output_dir),
        Provenance(model.path.name, model.sha256, float(threshold), int(cfg.grow), predictor.plateau),
        products=list(cfg.products),
        dq_bit=cfg.dq_bit,
        save_probability=cfg.save_probability,
        overwrite=cfg.overwrite,
        fill=cfg.fill,
        compress=cfg.compress,
    )
    paths = writer.to_do()
    kept = len(writer.places) - len(paths)
    if paths:
        exposures = DataLoader(ExposureReader(paths, settings), batch_size=1, collate_fn=itemgetter(0))
        # Every process would map every exposure: one does them all, whatever trains on more.
        one_process = {"devices": 1, "strategy": "auto", "logger": False, "enable_checkpointing": False}
        trainer = instantiate(cfg.trainer, **one_process, callbacks=[writer], _convert_="all")
        trainer.predict(predictor, exposures, return_predictions=False)
    report(writer, kept)


def _plateau(
    cfg: DictConfig, predictor: ExposurePredictor, model: Model, paths: list[Path], settings: ReadSettings
) -> float:
    darks = None
    if cfg.darks is not None:
        darks = open_darks(cfg.store_dir, list(find_exposures("darks", cfg.darks)), settings)
    level = find_plateau(model, predictor, (read_exposure(path, settings) for path in paths), darks)
    log.info("Maps are divided by %.3f, where they saturate", level)
    return level


def report(writer: ProductWriter, kept: int) -> None:
    """Say what was cleaned, kept and not cleaned; exit with status 1 if anything failed."""
    failures = [result for result in writer.results if isinstance(result, Failure)]
    for result in writer.results:
        if not isinstance(result, Failure):
            log.info("%s: %.2f %% flagged", result.path.name, 100 * result.flagged)
    if kept:
        log.info("%d exposures had their products already; overwrite=true makes them again", kept)
    log.info(
        "%d exposures cleaned, threshold %g, in %s",
        len(writer.results) - len(failures),
        writer.provenance.threshold,
        writer.output_dir,
    )
    if failures:
        lines = "\n".join(f"  {failure.reason}" for failure in failures)
        fail(f"{len(failures)} of {len(writer.results)} exposures were not cleaned:\n{lines}")


if __name__ == "__main__":
    main()
