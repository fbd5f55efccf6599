"""The command of evaluate.py."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from deepcr_lightning.atomic import write_json
from deepcr_lightning.commands.from_config import folder_of_results, open_model, plain, predictor_of
from deepcr_lightning.console.arguments import fail
from deepcr_lightning.console.counts import counted
from deepcr_lightning.console.device import choose_device, refuse_half
from deepcr_lightning.console.printable import printable
from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.comparison import compare
from deepcr_lightning.evaluation.exposure_scores import (
    ExposureScores,
    score_against_truth,
)
from deepcr_lightning.evaluation.peer_report import plot_peers, show_comparison
from deepcr_lightning.evaluation.peers import open_peers
from deepcr_lightning.evaluation.pictures import plot_example
from deepcr_lightning.evaluation.score_record import draw_report, make_report, show_report
from deepcr_lightning.evaluation.without_truth import (
    count_exposure,
    find_plateau,
    open_darks,
    rate_scatter,
    refuse_seen,
)
from deepcr_lightning.exposures.exposure import read_exposure, root_of
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.truth import ChipTruth, field_type, find_truths, read_matching_truth
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.models.model import Model, model_threshold
from deepcr_lightning.tiles.store import TileStore

log = logging.getLogger("evaluate")


def evaluate(cfg: DictConfig) -> None:
    """Evaluate as a config says."""
    refuse_half(cfg)
    choose_device(cfg, half=False)
    settings = ReadSettings.of(cfg)
    output = folder_of_results(cfg)
    model = open_model(cfg)
    paths = list(find_exposures("input", cfg.input))
    truths = _truths(cfg, paths)
    darks = _darks(cfg, model, settings)
    predictor = predictor_of(model, cfg)
    if cfg.calibrate:
        exposures = (read_exposure(path, settings, timed=darks is not None) for path in paths)
        predictor.plateau = find_plateau(model, predictor, exposures, darks)
        log.info("Maps are divided by %.3f, the value at which they saturate", predictor.plateau)
    threshold = model_threshold(model, plain(cfg.threshold), predictor.plateau)
    if cfg.peers and truths is None:
        raise InputError("peers= needs truth=; name a directory of truth files")
    peers = open_peers(cfg.peers, model, cfg.tile, predictor.device, cfg.network) if cfg.peers else None

    label_snr = model.card.data.label_snr
    scored: list[ExposureScores] = []
    pictured: set[str] = set()
    unread: list[str] = []
    for number, path in enumerate(tqdm(paths, desc="Scoring", unit="exposure", leave=False, disable=None)):
        root = root_of(path)
        if truths is not None and root not in truths and darks is None:
            continue
        try:
            exposure = read_exposure(path, settings, timed=darks is not None)
        except InputError as error:
            unread.append(str(error))
            continue
        known: dict[int, ChipTruth] | None = None
        if truths is not None and root in truths:
            known = read_matching_truth(truths[root], exposure)
        field = field_type(truths[root]) if truths and known else "unknown"
        counts, events = None, None
        if known or field not in pictured:
            maps = predictor.probabilities(exposure)
            if known:
                counts, events = score_against_truth(exposure, maps, known, threshold, label_snr)
            if field not in pictured:
                pictured.add(field)
                plot_example(output / f"{root}.png", exposure, maps[0], known, threshold)
        added = count_exposure(predictor, exposure, darks, number, label_snr) if darks is not None else None
        others = peers.count(exposure, known, label_snr) if peers and known else {}
        scored.append(ExposureScores(root, exposure.filter, field, counts, events, added, others))

    if not scored:
        raise InputError(f"input={cfg.input}: no exposure could be scored; the first error: {unread[0]}")
    report = make_report(scored, threshold)
    report |= {
        "checkpoint": str(model.path),
        "sha256": model.sha256,
        "parts": [part.sha256 for part in model.parts],
        "plateau_divided_by": predictor.plateau,
    }
    if darks is not None:
        report["rate_scatter_of_darks"] = rate_scatter(darks)
    if peers:
        report["peers"] = compare(scored, peers, threshold)
    write_json(output / "evaluation.json", report)
    draw_report(output, report, scored)
    print(printable(show_report(report)))
    if peers:
        plot_peers(output / "peers.png", scored, peers, threshold)
        print(printable(f"\n{show_comparison(report['peers'])}"))
    if truths is not None:
        _say_unmatched(paths, truths)
    print(f"Scores and figures: {output}")
    if unread:
        lines = "\n".join(f"  {reason}" for reason in unread)
        total = len(scored) + len(unread)
        fail(f"{len(unread)} of {counted(total, 'exposure')} {'was' if total == 1 else 'were'} not scored:\n{lines}")


def _truths(cfg: DictConfig, paths: list[Path]) -> dict[str, Path] | None:
    if cfg.truth is None:
        return None
    truths = find_truths("truth", cfg.truth)
    if not any(root_of(path) in truths for path in paths):
        raise InputError(f"truth={cfg.truth}: contains no <root>_truth.fits for any exposure in input={cfg.input}")
    return truths


def _darks(cfg: DictConfig, model: Model, settings: ReadSettings) -> TileStore | None:
    if cfg.darks is None:
        return None
    darks = list(find_exposures("darks", cfg.darks))
    if not cfg.allow_seen:
        refuse_seen(model, darks)
    return open_darks(cfg.store_dir, darks, settings)


def _say_unmatched(paths: list[Path], truths: dict[str, Path]) -> None:
    roots = {root_of(path) for path in paths}
    unscored = sorted(roots - set(truths))
    if unscored:
        print(printable(f"No truth for {', '.join(unscored)}: not scored against truth"))
    spare = len(set(truths) - roots)
    if spare:
        print(f"{spare} of {counted(len(truths), 'truth file')} are of other exposures than the input: not used")
