"""What finds CRs on the real images: networks of ours and deepCR's, Cosmic-CoNN, L.A.Cosmic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astroscrappy import detect_cosmics
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.lacosmic import GRID, SETTINGS, USUAL, read_noise
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.models.model import load_model, model_threshold
from deepcr_lightning.networks.scale import OURS, SCALES, Scale
from deepcr_lightning.prediction.predictor import ExposurePredictor

LACOSMIC, LACOSMIC_BEST = "lacosmic", "lacosmic-best"
_COSMIC_CONN = {"cosmic-conn-ground": "ground_imaging", "cosmic-conn-hst": "HST_ACS_WFC"}
_STEP = 16


@dataclass(frozen=True, eq=False)
class Method:
    """Something that finds CRs.

    Attributes
    ----------
    find : callable
        Function of an Exposure that gives a map of each chip, ndarray of float32, shape (H, W).
    threshold : float
        Threshold of its mask.
    graded : bool
        Whether its maps are more than zeros and ones.
    """

    find: Callable[[Exposure], list[NDArray[np.float32]]]
    threshold: float
    graded: bool = True


def open_method(name: str, data: Path, noise: float = 1.0) -> list[Method]:
    """Open a method by its name; one that is to be had at its best comes at each of its settings.

    Parameters
    ----------
    name : str
        ``lacosmic``, ``lacosmic-best``, ``cosmic-conn-ground``, ``cosmic-conn-hst``, or what `load_model` takes.
    data : Path
        Folder with ``weights/NAME.pth`` of deepCR, for where its package is not installed.
    noise : float
        Networks that look at an image in units of its noise are told so many times the noise that is measured.

    Returns
    -------
    list of Method

    Raises
    ------
    InputError
        If there is no such method, its package is missing or its file cannot be read.
    """
    if name in (LACOSMIC, LACOSMIC_BEST):
        return [_lacosmic(*point) for point in (GRID if name == LACOSMIC_BEST else (GRID[USUAL],))]
    if name in _COSMIC_CONN:
        return [_cosmic_conn(name)]
    beside = data / "weights" / f"{name}.pth"
    model = load_model(beside if beside.is_file() and not Path(name).is_file() else name)
    predictor = ExposurePredictor(model)
    for part in (predictor, predictor.hubble):
        if part is not None:
            part.scale = _told(part.scale, noise)
    return [Method(predictor.probabilities, model_threshold(model))]


def _told(scale: Scale, noise: float) -> Scale:
    def levels(*chip: Any) -> tuple[float, float]:
        sky, measured = scale.levels(*chip)
        return sky, measured * noise

    return replace(scale, levels=levels) if scale is SCALES[OURS] else scale


def _lacosmic(sigclip: float, objlim: float) -> Method:
    def masks(exposure: Exposure) -> Iterator[NDArray[np.float32]]:
        noise = exposure.header.get("READNSE", read_noise(exposure.header))
        settings = {**SETTINGS, "readnoise": noise, "sigclip": sigclip, "objlim": objlim}
        for chip in exposure.chips:
            mask, _ = detect_cosmics(chip.electrons, inmask=chip.unusable, **settings)
            yield mask.astype(np.float32)

    return Method(lambda exposure: list(masks(exposure)), 0.5, graded=False)


def _cosmic_conn(name: str) -> Method:
    try:
        from cosmic_conn import init_model
    except ImportError:
        raise InputError(
            f"{name}: needs the package cosmic-conn (GPL-3, with its weights): pip install --no-deps --target FOLDER "
            "cosmic-conn, then begin the command with PYTHONPATH=FOLDER"
        ) from None
    model = init_model(_COSMIC_CONN[name])

    def maps(exposure: Exposure) -> Iterator[NDArray[np.float32]]:
        for chip in exposure.chips:
            rows, columns = chip.electrons.shape
            # It maps whole steps of 16 pixels only and leaves zeros at the far edges.
            wide = np.pad(chip.electrons, [(0, -length % _STEP) for length in (rows, columns)], mode="symmetric")
            yield model.detect_cr(wide.copy())[:rows, :columns]

    return Method(lambda exposure: list(maps(exposure)), 0.5)
