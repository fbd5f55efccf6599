"""The command of threshold.py."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from tqdm import tqdm

from deepcr_lightning.atomic import write_atomically, write_json
from deepcr_lightning.commands.from_config import folder_of_results, open_model, plain, predictor_of
from deepcr_lightning.console.counts import counted
from deepcr_lightning.console.device import choose_device, refuse_half
from deepcr_lightning.console.printable import printable
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.labels.groups import Member
from deepcr_lightning.photometry.psf_of_stars import require_photutils
from deepcr_lightning.photometry.workers import start_workers
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.thresholds.added_dark import plot_added_dark
from deepcr_lightning.thresholds.catalogues import compare_catalogues, find_catalogues, read_catalogue
from deepcr_lightning.thresholds.classic import classic_masks
from deepcr_lightning.thresholds.dolphot import write_dolphot
from deepcr_lightning.thresholds.field_stars import masks_of, measure_field
from deepcr_lightning.thresholds.fields import Field, Seen, check_chips, choose_filters, group_fields
from deepcr_lightning.thresholds.good_stars import choose_cuts
from deepcr_lightning.thresholds.mapped import Mapped, read_simulated
from deepcr_lightning.thresholds.recommend import check_thresholds
from deepcr_lightning.thresholds.star_counts import ChipStars, count, in_box
from deepcr_lightning.thresholds.star_study import (
    FEWEST_IN_BOX,
    Study,
    is_real,
    make_report,
    make_study,
    make_table,
    show_report,
)
from deepcr_lightning.thresholds.study_figure import plot_study

log = logging.getLogger("threshold")

_SEED = 1


@dataclass(frozen=True, eq=False)
class Gathered:
    """Stars of all chips, however they came, and what the report says of them."""

    levels: list[float]
    masked: NDArray[np.float64] | None
    chips: list[ChipStars]
    about: dict[str, Any]
    predictor: ExposurePredictor | None = None


def threshold(cfg: DictConfig) -> None:
    """Choose a threshold as a config says."""
    corners: Any = plain(cfg.box)
    shifts = _box_shifts(cfg)
    if corners is not None:
        in_box(corners)
    if not 0 < cfg.most_lost <= 1:
        raise InputError(f"most_lost={cfg.most_lost}: must be above 0 and at most 1")
    if cfg.dolphot is not None:
        _for_dolphot(cfg)
        return
    output = folder_of_results(cfg)
    gathered = _from_exposures(cfg) if cfg.catalogues is None else _from_catalogues(cfg)
    if not any(len(chip.legacy) for chip in gathered.chips):
        raise InputError("no good stars in any field; check the exposures, or relax cuts=")
    study = make_study(gathered.levels, gathered.masked, gathered.chips, corners, shifts, cfg.most_lost)
    _warn(study, gathered.about["filters"])
    report = gathered.about | {"box_corners": corners, "most_lost": cfg.most_lost}
    _write(output, study, report, cfg.catalogues is None and cfg.truth is not None)
    if gathered.predictor is not None and cfg.darks is not None:
        settings = ReadSettings.of(cfg)
        science, dark = (read_exposure(next(iter(find_exposures(n, cfg[n]))), settings) for n in ("input", "darks"))
        best = study.recommended.threshold
        plot_added_dark(output / "added_dark.png", science, dark, gathered.predictor, best)
    print(printable(show_report(study)))
    print(f"Table, JSON and figure: {output}")


def _from_exposures(cfg: DictConfig) -> Gathered:
    """Measure the stars of exposures under the masks of a network."""
    refuse_half(cfg)
    choose_device(cfg, half=False)
    levels = check_thresholds(cfg.thresholds)
    require_photutils()
    settings = ReadSettings.of(cfg)
    looked_at = [Member.of(read_exposure(path, settings)) for path in find_exposures("input", cfg.input)]
    seen = [Seen(str(member.path), member.visit, member.filter) for member in looked_at]
    filters = choose_filters(seen, cfg.filters)
    fields, alone = group_fields(seen, filters)
    for file in alone:
        log.warning("%s: no exposure of the same visit in the other filter; left out", file)
    _refuse_box_without_colours(cfg, filters)
    cuts = choose_cuts(plain(cfg.cuts), looked_at[0].camera)
    model = open_model(cfg)
    predictor = predictor_of(model, cfg)
    wanted = {Path(file) for field in fields for file in field.files}
    several = [member for member in looked_at if member.path in wanted] if cfg.classic else []
    classic = classic_masks(several, settings)
    chips: list[ChipStars] = []
    shares = []
    steps = sum(len(levels) + 1 + all(Path(f) in classic for f in field.files) for field in fields) * len(filters)
    with (
        start_workers(cfg.workers) as executor,
        tqdm(total=steps, desc="Photometry", unit="mask", leave=False, disable=None) as bar,
    ):
        for field in fields:
            members = [_mapped(file, cfg, settings, predictor, classic) for file in field.files]
            check_chips(field, [member.exposure for member in members])
            number = len(members[0].exposure.chips)
            shares += [_masked(member, levels) for member in members]
            new = measure_field(field.name, members, levels, cuts, executor, partial(bar.update, 1 / number))
            _say_empty(field, new)
            chips += new
    about: dict[str, Any] = {"checkpoint": str(model.path), "sha256": model.sha256, "filters": list(filters)}
    about |= {"fields": [field.name for field in fields], "cuts": vars(cuts)}
    return Gathered(levels, np.mean(shares, axis=0), chips, about, predictor)


def _for_dolphot(cfg: DictConfig) -> None:
    """Write what DOLPHOT needs to measure the exposures."""
    refuse_half(cfg)
    choose_device(cfg, half=False)
    levels = check_thresholds(cfg.thresholds)
    settings = ReadSettings.of(cfg)
    model = open_model(cfg)
    predictor = predictor_of(model, cfg)
    exposures = (read_exposure(path, settings) for path in find_exposures("input", cfg.input))
    mapped = ((exposure, predictor.probabilities(exposure)) for exposure in exposures)
    reference = None if cfg.reference is None else Path(cfg.reference).expanduser()
    folder = Path(cfg.dolphot).expanduser()
    number = write_dolphot(folder, mapped, levels, model, reference)
    exposed = counted(number, "exposure")
    print(f"{exposed} under {len(levels)} masks and without a mask: sh {folder}/run.sh measures them")
    print(f"Then run: deepcr-lightning threshold catalogues={folder}")


def _from_catalogues(cfg: DictConfig) -> Gathered:
    """Take the stars from catalogues that were made under each mask."""
    place, masked = find_catalogues(cfg.catalogues)
    columns: Any = plain(cfg.columns)
    legacy = read_catalogue(place, columns)
    filters = choose_filters([Seen(place.name, "", name) for name in legacy.filters], cfg.filters)
    _refuse_box_without_colours(cfg, filters)
    cuts = choose_cuts(plain(cfg.cuts), "")
    chips = compare_catalogues(legacy, [read_catalogue(path, columns) for path in masked.values()], filters, cuts)
    about: dict[str, Any] = {"filters": list(filters), "cuts": vars(cuts)}
    return Gathered(list(masked), None, chips, about)


def _refuse_box_without_colours(cfg: DictConfig, filters: Sequence[str]) -> None:
    if len(filters) == 1 and cfg.box is not None:
        raise InputError(f"box= needs two filters, but only {filters[0]} is given")


def _box_shifts(cfg: DictConfig) -> NDArray[np.float64]:
    if cfg.box_dithers < 0 or cfg.box_dithers != int(cfg.box_dithers) or not cfg.box_shift >= 0:
        raise InputError(f"box_dithers={cfg.box_dithers}, box_shift={cfg.box_shift}: neither may be negative")
    return np.random.default_rng(_SEED).uniform(-cfg.box_shift, cfg.box_shift, (int(cfg.box_dithers), 2))


def _mapped(
    file: str, cfg: DictConfig, settings: ReadSettings, predictor: ExposurePredictor, classic: dict[Path, Any]
) -> Mapped:
    exposure = read_exposure(file, settings)
    known = (None, None) if cfg.truth is None else read_simulated(Path(cfg.truth).expanduser(), exposure)
    return Mapped(exposure, predictor.probabilities(exposure), classic.get(exposure.path), *known)


def _masked(member: Mapped, levels: Sequence[float]) -> NDArray[np.float64]:
    chips = zip(member.exposure.chips, member.maps, strict=True)
    masks = [[mask.mean() for mask in masks_of(found, ~chip.unusable, levels)[1:]] for chip, found in chips]
    return np.asarray(np.mean(masks, axis=0))


def _say_empty(field: Field, chips: Sequence[ChipStars]) -> None:
    for chip in chips:
        if not len(chip.legacy):
            log.warning("%s: no good star, so it does not constrain the threshold", chip.field)


def _warn(study: Study, filters: Sequence[str]) -> None:
    if study.box is not None and study.box.legacy.sum() < FEWEST_IN_BOX:
        log.warning(
            "The box holds %d good stars without a mask, fewer than %d: its counts are uncertain; widen it",
            study.box.legacy.sum(),
            FEWEST_IN_BOX,
        )
    if len(filters) == 1:
        log.warning(
            "One filter: without a mask, cosmic rays are counted as stars, and those that a mask removes as lost; two "
            "filters of one field distinguish them"
        )


def _write(output: Path, study: Study, report: dict[str, Any], with_truth: bool) -> None:
    report |= make_report(study, with_truth)
    write_json(output / "threshold.json", report)
    table = make_table(study, with_truth)
    write_atomically(output / "threshold.ecsv", lambda place: table.write(place, format="ascii.ecsv", overwrite=True))
    real = count(study.chips, is_real) if with_truth else None
    plot_study(output / "threshold.png", study, report["filters"], report["box_corners"], real)
