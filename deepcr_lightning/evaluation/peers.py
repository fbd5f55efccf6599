"""Other methods on the same pixels: published weights, other checkpoints and L.A.Cosmic."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from deepcr_lightning.errors import InputError
from deepcr_lightning.evaluation.lacosmic_peer import LACosmicPeer
from deepcr_lightning.evaluation.map_peer import MapPeer
from deepcr_lightning.evaluation.score_summary import Scores, Summary
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.truth import ChipTruth
from deepcr_lightning.models.model import Model, load_model
from deepcr_lightning.models.model_file import known_models
from deepcr_lightning.networks.choice import Choice
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.scores.with_truth import Counts

PUBLISHED = ("WFC3-UVIS", "ACS-WFC")
"""Weights of deepCR for the CCDs of HST; all others are for one filter of these or for another camera."""
_INSTALL = "pip install 'deepcr-lightning[peers]'"


class Peer(Protocol):
    """A method that a network is compared with."""

    @property
    def name(self) -> str:
        """Name in tables and figures."""

    @property
    def about(self) -> Mapping[str, Any] | None:
        """What identifies it in a record; None where its name says all."""

    def count(self, exposure: Exposure, truth: dict[int, ChipTruth], label_snr: float) -> Counts:
        """Run it on an exposure and count the pixels of each of `scores.with_truth.KINDS`."""

    def compare(self, counts: Sequence[Counts], ours: tuple[Scores, Scores | None]) -> dict[str, Summary]:
        """Score it and its difference to a network, from the counts of exposures; a row a variant."""

    def points(self, counts: Counts) -> dict[str, Any]:
        """Give what else a record says of it, from the counts of a group."""

    def draw(self, cell: Axes, counts: Counts) -> list[Line2D]:
        """Draw completeness against false-positive rate; return what a legend names."""


def _lacosmic() -> tuple[list[Peer], list[str]]:
    if importlib.util.find_spec("astroscrappy") is None:
        raise InputError(f"peers=lacosmic: needs astroscrappy; {_INSTALL}")
    return [LACosmicPeer()], []


def _published() -> tuple[list[Peer], list[str]]:
    if not set(PUBLISHED) <= set(known_models()):
        raise InputError(f"peers=deepcr: needs deepCR; {_INSTALL}")
    return [], list(PUBLISHED)


PEERS: dict[str, Callable[[], tuple[list[Peer], list[str]]]] = {"lacosmic": _lacosmic, "deepcr": _published}
"""Peers that have a name: the methods that it stands for, and the models; any other name is that of a model."""


@dataclass(frozen=True, eq=False)
class Peers:
    """The methods that a network is compared with.

    Attributes
    ----------
    reference : str
        Name of the network itself.
    methods : tuple of Peer
        The others: networks first.
    """

    reference: str
    methods: tuple[Peer, ...]

    def count(self, exposure: Exposure, truth: dict[int, ChipTruth], label_snr: float) -> dict[str, Counts]:
        """Run every method on an exposure and count, holding the maps of one method at a time.

        Parameters
        ----------
        exposure : Exposure
            The exposure.
        truth : dict of int to ChipTruth
            Truth of its chips, by EXTVER.
        label_snr : float
            What the network under evaluation was taught to call a CR.

        Returns
        -------
        dict of str to dict of str to ndarray
            Counts by the name of the method.
        """
        return {peer.name: peer.count(exposure, truth, label_snr) for peer in self.methods}


def open_peers(
    names: str | Sequence[str],
    model: Model,
    tile: int | None,
    device: str | torch.device,
    network: Choice | None = None,
) -> Peers:
    """Load the methods that a network is to be compared with.

    Parameters
    ----------
    names : str or sequence of str
        Names of `PEERS`, or what `models.model.load_model` takes.
    model : Model
        The network under evaluation.
    tile : int, optional
        Largest side of a tile, as `prediction.predictor.ExposurePredictor` takes it.
    device : str or torch.device
        Where networks run.
    network : str or callable, optional
        Name of the network of the checkpoints among them whose network is the user's own.

    Returns
    -------
    Peers
        The methods.

    Raises
    ------
    InputError
        If a name is unknown, a file cannot be read or a package is missing.
    """
    methods: list[Peer] = []
    files: list[str] = []
    known = known_models()
    for name in dict.fromkeys([names] if isinstance(names, str) else [str(name) for name in names]):
        if name in PEERS:
            more, models_of_name = PEERS[name]()
            methods += more
            files += models_of_name
        elif name in known or Path(name).expanduser().is_file():
            files.append(name)
        else:
            choice = ", ".join([*PEERS, *sorted(known)])
            raise InputError(f"peers={name}: no such method or file; give the path of a checkpoint, or of {choice}")
    models = [_load(file, network) for file in dict.fromkeys(files)]
    reference, *labels = _labels([model.path, *(peer.path for peer in models)])
    networks = [
        MapPeer(label, peer, ExposurePredictor(peer, tile).to(device))
        for label, peer in zip(labels, models, strict=True)
    ]
    return Peers(reference, (*networks, *methods))


def _load(file: str, network: Choice | None) -> Model:
    try:
        return load_model(file)
    except InputError:
        if network is None:
            raise
    return load_model(file, network)


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
