"""The report of a run: one HTML page with its figures in it."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.models.card import FillerCard, FinderCard
from deepcr_lightning.models.checkpoint import card_of, read_checkpoint
from deepcr_lightning.report_style import page, table
from deepcr_lightning.runs.record import read_record

REPORT = "report.html"
History = Mapping[str, Sequence[tuple[int, float]]]

_SCORES = {
    "average_precision": "average precision",
    "completeness": "completeness",
    "purity": "purity",
    "own_rate": "CR rate over that of the darks, 0.5 to 1.5",
    "loss": "loss",
    "star_loss": "loss of the star fits only",
    "bridge_loss": "loss of the smoothest surface",
}
_PICTURES = {
    "tiles": (
        "Validation tiles, last epoch",
        "The same tiles every time: the image, the cosmic rays that were added to it, the map of the network, and "
        "what a mask at the threshold finds and misses. The image's own cosmic rays have no label: where they are "
        "found they are blue, like false positives.",
    ),
    "filled": (
        "Validation tiles, last epoch",
        "The same holes every time: the image without the cosmic rays that were added, the holes that they leave, what "
        "the network puts into them, and by how much that differs from what stood there.",
    ),
    "history": ("History", "What was measured in each epoch."),
    "curves": (
        "Precision-recall and ROC",
        "Completeness is measured on labelled cosmic rays. How many unlabelled ones an image has follows from "
        "exposure times, and what is flagged beyond them counts as false. The dots are the mask at the threshold.",
    ),
    "reliability": (
        "Reliability",
        "Of the pixels that the map gives a probability of 0.8, eight in ten should be cosmic rays. A known share of "
        "them is labelled, so that their number follows from the labels. The bars are statistical errors. The last "
        "scale and shift of a calibrated map were fitted on the validation tiles, not on those of the test.",
    ),
}


@dataclass(frozen=True)
class _Best:
    """What the best checkpoint says of itself."""

    path: Path
    epoch: int
    card: FinderCard | FillerCard


def basis_of_scores(truth: str | None) -> str:
    """Say in words what the scores of a run rest on, from its ``data.truth``."""
    return "estimated without truth" if truth is None else "against the truth"


def write_report(
    path: Path,
    state: str,
    history: History,
    epochs: int | None,
    basis: str,
    start: Mapping[str, float] | None = None,
) -> None:
    """Write the report of a run from what lies in its folder, whole or not at all.

    Parameters
    ----------
    path : Path
        File of the page, in the folder of the run.
    state : {"running", "finished", "stopped"}
        A running one is loaded again by the browser every minute.
    history : dict of str to list of (epoch, value)
        By the name that was logged.
    epochs : int, optional
        How many the run is to have.
    basis : str
        What the scores rest on, such as "estimated without truth".
    start : dict of str to float, optional
        Scores of the model that the run started from, by the same names; none where it started from no model.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    folder, record = path.parent, read_record(path.parent)
    best = _best(folder / "checkpoints" / "best.ckpt")
    done = 1 + max((epoch for epoch, _ in history.get("val/loss", [])), default=-1)
    sections = [
        ("", _summary(record, state, done, epochs)),
        ("Outcome", _judgement(best)),
        ("Use it", _use(best)),
        (f"Scores, {basis}", _scores(history, best, start or {})),
        *((title, _picture(folder, name, text)) for name, (title, text) in _PICTURES.items()),
        ("Data", _data(record.get("data", {}))),
        ("Repeat it", _repeat(folder, record)),
    ]
    filters = ", ".join(record.get("data", {}).get("exposures", {}))
    title = f"Cosmic rays in {filters}: a training run" if filters else "A training run"
    text = page(title, [section for section in sections if section[1]], refresh=60 if state == "running" else None)
    write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))


def _best(path: Path) -> _Best | None:
    try:
        checkpoint = read_checkpoint(path)
        card = card_of(checkpoint, path)
    except InputError:
        return None
    return _Best(path, int(checkpoint["epoch"]), card)


def _summary(record: Mapping[str, Any], state: str, done: int, epochs: int | None) -> str:
    rows = {"State": f"{state}, {done} of {epochs} epochs" if epochs and epochs > 0 else f"{state}, {done} epochs"}
    if record:
        started, device = datetime.fromisoformat(record["started"]), record["device"]
        rows["Started"] = f"{started:%Y-%m-%d %H:%M %Z}"
        rows["Took" if state != "running" else "So far"] = _duration(datetime.now().astimezone() - started)
        several = f"{device['count']} x " if device["count"] > 1 else ""
        rows["Device"] = f"{several}{device['name']}, {device['precision']}"
        if "started_from" in record:
            rows["Started from"] = "{name}, SHA-256 {sha256}".format(**record["started_from"])
    return table(rows.items())


def _judgement(best: _Best | None) -> str:
    run = (best.card.run if best else None) or {}
    words = run.get("judgement", {}).get("words", "")
    return f"<p><b>{escape(words)}</b></p>" if words else ""


def _duration(time: timedelta) -> str:
    minutes, seconds = divmod(round(time.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _use(best: _Best | None) -> str:
    if best is None:
        return ""
    # Like the command that repeats the run, this one is typed where that one was.
    here = best.path.relative_to(Path.cwd()) if best.path.is_relative_to(Path.cwd()) else best.path
    *options, last = best.card.options.split()
    given = " ".join([*options, shlex.quote(f"{last}={here}")])
    text = f"<pre>{escape(f'deepcr-lightning predict {given} input=EXPOSURES output_dir=CLEANED')}</pre>"
    if isinstance(best.card, FinderCard):
        chosen = escape(_how_chosen(best.path, best.card))
        text += f"<p>Threshold of the mask: <b>{best.card.threshold:.3g}</b> ({chosen}).</p>"
    return text


def _how_chosen(path: Path, card: FinderCard) -> str:
    config = path.parent.parent / "config.yaml"
    target = OmegaConf.select(OmegaConf.load(config), "threshold") if config.is_file() else None
    if isinstance(target, Mapping):
        name, value = next(iter(target.items()))
        return f"asked for by {name} {value}, resolved on the validation tiles"
    if target == "auto":
        return "completeness and purity balanced on the validation tiles: their harmonic mean is highest"
    if target is not None:
        return "given"
    return "one in two" if card.calibrated else "half of the value at which the map saturates"


def _scores(history: History, best: _Best | None, start: Mapping[str, float]) -> str:
    last = max((epoch for epoch, _ in history.get("val/loss", [])), default=None)
    columns: dict[str, dict[str, float]] = {}
    if start:
        columns["validation, the model it started from"] = {
            key: start[f"val/{key}"] for key in _SCORES if f"val/{key}" in start
        }
    for epoch in dict.fromkeys([best.epoch if best else None, last]):
        if epoch is not None and epoch >= 0:  # the best may be the model that it started from
            what = "best checkpoint" if best and epoch == best.epoch else "last"
            columns[f"validation, {what} (epoch {epoch + 1})"] = {
                key: value for key in _SCORES for at, value in history.get(f"val/{key}", []) if at == epoch
            }
    test = {key: history[f"test/{key}"][-1][1] for key in _SCORES if history.get(f"test/{key}")}
    if test:
        columns["test, best checkpoint"] = test
    rows = [
        (title, *(f"{values[key]:.4f}" if key in values else "" for values in columns.values()))
        for key, title in _SCORES.items()
        if any(key in values for values in columns.values())
    ]
    return table(rows, head=("", *columns))


def _picture(folder: Path, name: str, text: str) -> str:
    path = folder / "figures" / f"{name}.png"
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p>{escape(text)}</p><img alt="{escape(name)}" src="data:image/png;base64,{data}">'


def _data(data: Mapping[str, Any]) -> str:
    if not data:
        return ""
    sides = tuple(data["tiles"])
    rows: list[tuple[object, ...]] = []
    for name, counts in data["exposures"].items():
        low, high = data["exposure_time"][name]
        seconds = f"{low:g} s" if low == high else f"{low:g} to {high:g} s"
        rows.append((f"{name} exposures, {seconds}", *(counts[side] for side in sides)))
    rows.append(("Dark exposures", *(data["darks"][side] for side in sides)))
    rows.append(
        (f"Tiles of {data['tile_size']} x {data['tile_size']} pixels", *(data["tiles"][side] for side in sides))
    )
    names = {"train": "training", "val": "validation", "test": "test"}
    counts_table = table(rows, head=("", *(names.get(side, side) for side in sides)))
    return f"{counts_table}<p>Fingerprint of the data: <code>{escape(data['fingerprint'])}</code></p>"


def _repeat(folder: Path, record: Mapping[str, Any]) -> str:
    parts = []
    if record:
        git = record["git"]
        commit = f"{git['commit']}{', with changes that are not committed' if git['dirty'] else ''}" if git else None
        rows = {**record["versions"], **({"commit": commit} if commit else {})}
        parts.append(f"<pre>{escape(record['command'])}</pre>{table(rows.items())}")
    config = folder / "config.yaml"
    if config.is_file():
        parts.append(f"<details><summary>The whole config</summary><pre>{escape(config.read_text())}</pre></details>")
    return "".join(parts)
