"""Other methods on the same pixels: published weights, other checkpoints and L.A.Cosmic."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.exposure_scores import count_maps
from deepcr_lightning.evaluation.lacosmic import count_grid
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.models.model import Model, load_model, model_threshold
from deepcr_lightning.models.model_file import known_models
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.scores.with_truth import Counts

LACOSMIC = "L.A.Cosmic"
PUBLISHED = ("WFC3-UVIS", "ACS-WFC")
"""Weights of deepCR for the CCDs of HST; all others are for one filter of these or for another camera."""
_INSTALL = "pip install 'deepcr-lightning[peers]'"


@dataclass(frozen=True, eq=False)
class NetworkPeer:
    """A network that is set beside the one under evaluation.

    Attributes
    ----------
    name : str
        In tables and figures.
    model : Model
    predictor : ExposurePredictor
    """

    name: str
    model: Model
    predictor: ExposurePredictor

    @property
    def threshold(self) -> float:
        """Threshold of its mask, its own."""
        return model_threshold(self.model)


@dataclass(frozen=True, eq=False)
class Peers:
    """The methods that a network is compared with.

    Attributes
    ----------
    reference : str
        Name of the network itself.
    networks : tuple of NetworkPeer
    lacosmic : bool
        Whether L.A.Cosmic is one of them.
    """

    reference: str
    networks: tuple[NetworkPeer, ...]
    lacosmic: bool

    def count(self, exposure: Exposure, truth: dict[int, ChipTruth], label_snr: float) -> dict[str, Counts]:
        """Map an exposure with every method and count, holding the maps of one method at a time.

        Parameters
        ----------
        exposure : Exposure
        truth : dict of int to ChipTruth
            By EXTVER.
        label_snr : float
            What the network under evaluation was taught to call a CR.

        Returns
        -------
        dict of str to dict of str to ndarray
            By name: `evaluation.exposure_scores.count_maps` of networks, `evaluation.lacosmic.count_grid`.
        """
        counts = {
            peer.name: count_maps(exposure, peer.predictor.probabilities(exposure), truth, label_snr)
            for peer in self.networks
        }
        return counts | ({LACOSMIC: count_grid(exposure, truth, label_snr)} if self.lacosmic else {})


def open_peers(names: str | Sequence[str], model: Model, tile: int | None, device: str | torch.device) -> Peers:
    """Load the methods that a network is to be compared with.

    Parameters
    ----------
    names : str or sequence of str
        ``lacosmic``, ``deepcr`` (all of `PUBLISHED`), or what `models.model.load_model` takes.
    model : Model
        The network under evaluation.
    tile : int, optional
        As `prediction.predictor.ExposurePredictor`.
    device : str or torch.device
        Where networks run.

    Returns
    -------
    Peers

    Raises
    ------
    InputError
        If a name is unknown, a file cannot be read or a package is missing.
    """
    names = [names] if isinstance(names, str) else [str(name) for name in names]
    if "lacosmic" in names and importlib.util.find_spec("astroscrappy") is None:
        raise InputError(f"peers=lacosmic: needs astroscrappy; {_INSTALL}")
    models = [load_model(name) for name in _files(names)]
    reference, *labels = _labels([model.path, *(peer.path for peer in models)])
    networks = [
        NetworkPeer(label, peer, ExposurePredictor(peer, tile).to(device))
        for label, peer in zip(labels, models, strict=True)
    ]
    return Peers(reference, tuple(networks), "lacosmic" in names)


def _files(names: Sequence[str]) -> list[str]:
    known = known_models()
    files: list[str] = []
    for name in names:
        if name == "deepcr":
            if not set(PUBLISHED) <= set(known):
                raise InputError(f"peers=deepcr: needs deepCR; {_INSTALL}")
            files += PUBLISHED
        elif name in known or Path(name).expanduser().is_file():
            files.append(name)
        elif name != "lacosmic":
            choice = ", ".join(["lacosmic", "deepcr", *sorted(known)])
            raise InputError(f"peers={name}: no such method or file; give the path of a checkpoint, or of {choice}")
    return list(dict.fromkeys(files))


def _labels(paths: Iterable[Path]) -> list[str]:
    labels: list[str] = []
    for path in paths:
        label = f"deepCR {path.stem}" if path.stem in PUBLISHED else path.stem
        if path.parent.name == "checkpoints":  # of a run: its folder is its name
            run = path.parent.parent.name
            label = run if path.stem == "best" else f"{run} {path.stem}"
        labels.append(label if label not in labels else str(path))
        if labels.count(labels[-1]) > 1:
            labels[-1] += f" ({len(labels)})"
    return labels
