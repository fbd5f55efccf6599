"""Exposures with the cosmic rays of held-out darks added: scores that need no truth."""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deepcr_lightning.batches.compose import compose_batch
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Chip, Exposure, root_of
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.models.card import LABEL_SNR
from deepcr_lightning.models.model import Model
from deepcr_lightning.models.model_file import sha256_of
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.scores.truth_free import AddedCounts, count_added, plateau
from deepcr_lightning.tiles.build import build_store
from deepcr_lightning.tiles.dark_cr import UNKNOWN
from deepcr_lightning.tiles.store import LayerInfo, TileStore

_SMALLEST = 16
_BRIGHT = 100.0
_ENOUGH = 8


def open_darks(store_dir: str | Path, darks: Sequence[Path], settings: ReadSettings) -> TileStore:
    """Separate the CRs of darks, or find them separated.

    Parameters
    ----------
    store_dir : str or Path
        Folder of the stores (`tiles.build.build_store`).
    darks : sequence of Path
    settings : ReadSettings

    Returns
    -------
    TileStore
        With CR layers and no tiles.

    Raises
    ------
    InputError
        If a file cannot be read or is no dark.
    """
    return build_store(store_dir, [], darks, _SMALLEST, settings)


def refuse_seen(model: Model, darks: Iterable[Path]) -> None:
    """Raise if a network was trained on the darks that are to judge it.

    Parameters
    ----------
    model : Model
    darks : iterable of Path

    Raises
    ------
    InputError
        If it was; the message names them.
    """
    data = model.card.data
    trained_on = {root_of(Path(file)): Path(file) for file in data.darks}
    digests = set(data.dark_sha256)
    if digests:  # a model that was handed on
        seen = [path.name for path in darks if sha256_of(path) in digests]
    else:
        seen = [path.name for path in darks if _is_same(path, trained_on.get(root_of(path)))]
    if seen:
        named = ", ".join(seen[:3]) + (f" and {len(seen) - 3} more" if len(seen) > 3 else "")
        raise InputError(
            f"darks: {named} were used to train {model.path.name}, so scores would be optimistic; give others, or set "
            "allow_seen=true"
        )


def _is_same(dark: Path, trained_on: Path | None) -> bool:
    # Simulated darks of different sets share their names; a file that has gone is known by its name alone.
    return trained_on is not None and (not trained_on.is_file() or filecmp.cmp(dark, trained_on, shallow=False))


def rate_scatter(store: TileStore) -> float | None:
    """Relative scatter of the CR rate from dark to dark, by the pixels above 100 e a second; None below three darks."""
    rates: dict[str, list[float]] = {}
    for index, layer in enumerate(store.layers):
        charge = store.charge(index)
        rates.setdefault(layer.file, []).append(float(np.mean(charge > _BRIGHT)) / layer.cr_time)
    means = [float(np.mean(values)) for values in rates.values()]
    return float(np.std(means, ddof=1) / np.mean(means)) if len(means) > 2 and any(means) else None


def count_exposure(
    predictor: ExposurePredictor,
    exposure: Exposure,
    store: TileStore,
    number: int,
    label_snr: float = LABEL_SNR,
    strict: bool = False,
) -> AddedCounts:
    """Add the CRs of a dark to an exposure, map it, and count.

    Parameters
    ----------
    predictor : ExposurePredictor
    exposure : Exposure
    store : TileStore
        From `open_darks`.
    number : int
        Number of the exposure: the darks take turns.
    label_snr : float
        As in training.
    strict : bool
        Count rims of CRs as what they are, not CRs.

    Returns
    -------
    AddedCounts
        Counts of all chips together.
    """
    rng = np.random.default_rng([3, number])
    composed, labels = [], []
    for chip in exposure.chips:
        sky, noise = sky_and_noise(chip.electrons, ~chip.unusable)
        charge, kind, info = _layer_for(chip, store, number, rng)
        batch = {
            "electrons": torch.from_numpy(chip.electrons)[None],
            "usable": torch.from_numpy(~chip.unusable)[None],
            "sky": torch.tensor([sky], dtype=torch.float32),
            "noise": torch.tensor([noise], dtype=torch.float32),
            "science_time": torch.tensor([exposure.cr_time], dtype=torch.float32),
            "charge": torch.from_numpy(charge)[None, None],
            "kind": torch.from_numpy(kind)[None, None],
            "dark_time": torch.tensor([[info.cr_time]], dtype=torch.float32),
            "dark_noise": torch.tensor([[info.noise]], dtype=torch.float32),
        }
        labels.append(compose_batch(batch, torch.Generator(), label_snr=label_snr))
        composed.append(replace(chip, electrons=chip.electrons + charge))
    maps = predictor.probabilities(replace(exposure, chips=tuple(composed)))
    logits = [torch.logit(torch.from_numpy(m).double(), eps=1e-9)[None, None] for m in maps]
    counts = [count_added(chip, batch, strict) for chip, batch in zip(logits, labels, strict=True)]
    return sum(counts[1:], counts[0])


def find_plateau(
    model: Model, predictor: ExposurePredictor, exposures: Iterable[Exposure], store: TileStore | None
) -> float:
    """Find the value at which the maps of a model saturate.

    Parameters
    ----------
    model : Model
        Says it itself, if it was trained with this package.
    predictor : ExposurePredictor
        Its predictor, with a plateau of 1.
    exposures : iterable of Exposure
        Otherwise CRs of darks are added to the first eight of them.
    store : TileStore, optional
        From `open_darks`.

    Returns
    -------
    float
        `scores.truth_free.plateau`; 1 of a model whose maps are probabilities already.

    Raises
    ------
    InputError
        If the model does not say and there are no darks, or they hold no CR beyond doubt.
    """
    if model.card.calibrated:
        return 1.0
    if model.card.plateau is not None:
        return model.card.plateau
    if store is None:
        raise InputError(
            f"calibrate=true: {model.path.name} does not say at which value its maps saturate; give darks=DIR"
        )
    counts = [count_exposure(predictor, e, store, n) for n, e in zip(range(_ENOUGH), exposures, strict=False)]
    level = float(plateau(sum(counts[1:], counts[0])))
    if np.isnan(level):
        raise InputError(
            "calibrate=true: the darks contain no cosmic ray bright enough to tell where the map saturates"
        )
    return level


def _layer_for(
    chip: Chip, store: TileStore, number: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8], LayerInfo]:
    # The dark's chip where there is one: charge-transfer tails point the same way.
    same = [i for i, layer in enumerate(store.layers) if layer.chip == chip.number] or list(range(len(store.layers)))
    index = same[number % len(same)]
    rows, columns = chip.electrons.shape
    info = store.layers[index]
    spare = [max(0, theirs - ours) for theirs, ours in ((info.rows, rows), (info.columns, columns))]
    y, x = (int(rng.integers(0, length, endpoint=True)) for length in spare)
    place = np.s_[y : y + rows, x : x + columns]
    cut = store.charge(index)[place]
    charge = np.zeros((rows, columns), np.float32)
    kind = np.full((rows, columns), UNKNOWN, np.uint8)  # beyond a smaller dark nothing is known
    there = np.s_[: cut.shape[0], : cut.shape[1]]
    charge[there], kind[there] = cut, store.kind(index)[place]
    return charge, kind, info
