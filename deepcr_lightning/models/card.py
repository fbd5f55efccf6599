"""The card of a model: its network, how to use it, and what it was trained on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import deepcr_lightning
from deepcr_lightning.models.card_values import finite, known, prior_share, share, texts
from deepcr_lightning.networks.choice import NETWORKS, UNET
from deepcr_lightning.networks.scale import OURS, SCALES, Scale

FORMAT = 2
"""Format of the cards that are written; those of other formats are refused."""
FINDER, FILLER = "finder", "filler"
"""What a network does with cosmic rays; cards of earlier versions, which do not say, are of finders."""
_NAME = re.compile(r"[\w.:-]{1,200}")
LABEL_SNR = 2.0
"""Added charge counts as a CR from this many times the local noise, unless a run says otherwise."""


@dataclass(frozen=True)
class DataCard:
    """What a network was trained on.

    Attributes
    ----------
    filters : tuple of str
        Filters of the science exposures.
    label_snr : float
        Added charge was a CR from this many times the local noise.
    normalisation : str
        Scale on which the network sees an image, a name of `networks.scale.SCALES`.
    tile_size : int or None
        Side of a tile in pixels.
    store, fingerprint : str or None
        Folder of the tile store, and SHA-256 of the pixels of all exposures.
    science, darks : tuple of str
        Files of the training side; their root names only in a model that was handed on.
    dark_sha256 : tuple of str
        SHA-256 of the darks, in a model that was handed on.
    mean_dark_share : float or None
        Mean share of the CRs that were labelled.
    cr_share_rate : float or None
        Share of the pixels that CRs of the darks take in a second.
    star_widths : (float, float) or None
        FWHM in pixels of the narrowest and the widest stars; None where they were not measured.
    spectra, trailed : float
        Share of the exposures that were spectra, and images of trailed stars.
    """

    filters: tuple[str, ...] = ()
    label_snr: float = LABEL_SNR
    normalisation: str = OURS
    tile_size: int | None = None
    store: str | None = None
    fingerprint: str | None = None
    science: tuple[str, ...] = ()
    darks: tuple[str, ...] = ()
    dark_sha256: tuple[str, ...] = ()
    mean_dark_share: float | None = None
    cr_share_rate: float | None = None
    star_widths: tuple[float, float] | None = None
    spectra: float = 0.0
    trailed: float = 0.0

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read it from the plain values of a file; what they do not say takes its default."""
        there = {name: _frozen(plain[name]) for name in (f.name for f in fields(cls)) if name in plain}
        return cls(**{name: _CHECKS[name](value) if name in _CHECKS else value for name, value in there.items()})

    def to_plain(self) -> dict[str, Any]:
        """Return plain values for a file, without what is not known."""
        return {name: _thawed(value) for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the cards of all networks say.

    Attributes
    ----------
    network : mapping of str
        Parameters that the network is built with.
    data : DataCard
        What it was trained on.
    run : mapping of str, or None
        Record of the training run (`runs.record`).
    version : str
        Version of this package that trained it.
    recipe : int
        Version of how the network sees an image, where no other field tells (`inpainting.planes.RECIPE`); 0 in cards
        that do not say.
    """

    network: Mapping[str, Any]
    data: DataCard = field(default_factory=DataCard)
    run: Mapping[str, Any] | None = None
    version: str = deepcr_lightning.__version__
    recipe: int = 0
    kind: ClassVar[str]

    @property
    def normalisation(self) -> str:
        """Name of the scale on which the network sees an image."""
        return self.data.normalisation

    @property
    def scale(self) -> Scale:
        """How the network wants a chip."""
        return SCALES[self.normalisation]

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read a card from the plain values of a file.

        Parameters
        ----------
        plain : mapping of str
            Values that `to_plain` of this version or of an earlier one made, of the same format.

        Returns
        -------
        Card
            The card; what the values do not say takes its default.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError
            If the values are not those of a card.
        """
        common = {
            "network": dict(plain["network"]),
            "data": DataCard.from_plain({**(plain.get("data") or {}), "normalisation": plain["normalisation"]}),
            "run": None if plain.get("run") is None else dict(plain["run"]),
            "version": str(plain.get("version")),
            "recipe": int(plain.get("recipe", 0)),
        }
        return cls(**{**common, **cls.own(plain)})

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, so that a checkpoint loads with ``weights_only=True``."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "version": self.version,
            "network": dict(self.network),
            "recipe": self.recipe,
            "normalisation": self.normalisation,
            "data": self.data.to_plain(),
            "run": None if self.run is None else dict(self.run),
        }

    @classmethod
    def own(cls, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Read the fields that cards of this kind alone have."""
        return {}


@dataclass(frozen=True, kw_only=True)
class FinderCard(Card):
    """Card of a network that finds cosmic rays.

    Attributes
    ----------
    threshold : float
        Default threshold on the probability.
    calibrated : bool
        Whether the map is a probability, as a loss of `training.losses` says.
    curves : mapping of str to sequence of float, or None
        ``threshold``, ``completeness``, ``purity`` and ``false_positive_rate`` on the validation side.
    plateau : float or None
        Value at which the map saturates (`scores.truth_free.plateau`).
    calibration : (float, float)
        Scale and shift of the logit (`scores.calibration.fit_scale`); `models.model.load_model` puts them into the
        weights.
    prior : float or None
        Share of the pixels that cosmic rays cover where the map is right, if the map of a chip that fewer cover is to
        be lowered (`prediction.prior`).
    closes_gaps : bool
        Whether it was trained on images whose unusable pixels were filled smoothly (`networks.gaps.close_gaps`).
    evens_noise : bool
        Whether prediction makes the noise of a chip even first (`exposures.uneven_noise`); networks of earlier
        versions keep their maps.
    network_name : str
        A name of `networks.choice.NETWORKS`, or the name that the user gave to a network of their own: it is compared
        with what the user names, and never imported.
    """

    threshold: float = 0.5
    calibrated: bool = False
    curves: Mapping[str, Sequence[float]] | None = None
    plateau: float | None = None
    calibration: tuple[float, float] = (1.0, 0.0)
    prior: float | None = None
    closes_gaps: bool = True
    evens_noise: bool = True
    network_name: str = UNET
    kind: ClassVar[str] = FINDER

    @property
    def makes_noise_even(self) -> bool:
        """Whether prediction makes the noise even; on the scales of other packages there is no noise."""
        return self.evens_noise and self.normalisation == OURS

    @property
    def options(self) -> str:
        """Options by which predict.py takes such a network; the last one is to name the checkpoint."""
        return "ckpt_path" if self.network_name in NETWORKS else f"network={self.network_name} ckpt_path"

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, so that a checkpoint loads with ``weights_only=True``."""
        return {
            **super().to_plain(),
            "network_name": self.network_name,
            "gaps": "closed" if self.closes_gaps else "open",
            "noise": "evened" if self.evens_noise else "as it is",
            "threshold": float(self.threshold),
            "calibrated": bool(self.calibrated),
            "curves": None if self.curves is None else {name: list(values) for name, values in self.curves.items()},
            "plateau": self.plateau,
            "calibration": [float(value) for value in self.calibration],
            "prior": self.prior,
        }

    @classmethod
    def own(cls, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Read the fields that cards of this kind alone have."""
        scale, shift = (finite(value) for value in plain.get("calibration", cls.calibration))
        threshold, plateau, curves = share(plain["threshold"]), plain.get("plateau"), plain.get("curves")
        prior, name = plain.get("prior"), str(plain.get("network_name", UNET))
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name of a network")
        # U-Nets of earlier versions do not say what they could not have.
        defaults = {"contrast": False, "fold": 1} if name == UNET else {}
        return {
            "network": {**defaults, **plain["network"]},
            "network_name": name,
            "threshold": threshold,
            "calibrated": bool(plain["calibrated"]),
            "curves": None if curves is None else {name: [*map(float, values)] for name, values in curves.items()},
            "plateau": None if plateau is None else share(plateau),
            "calibration": (scale, shift),
            "prior": None if prior is None else prior_share(prior),
            "closes_gaps": plain.get("gaps") == "closed",
            "evens_noise": plain.get("noise") == "evened",
        }


@dataclass(frozen=True, kw_only=True)
class FillerCard(Card):
    """Card of a network that fills cosmic rays, which says no more."""

    kind: ClassVar[str] = FILLER

    @property
    def options(self) -> str:
        """Options by which predict.py takes such a network; the last one is to name the checkpoint."""
        return "products=[clean] fill=network fill_ckpt_path"


CARDS: dict[str, type[FinderCard] | type[FillerCard]] = {card.kind: card for card in (FinderCard, FillerCard)}
"""The cards by the kind of their networks."""


def read_card(plain: Mapping[str, Any]) -> FinderCard | FillerCard:
    """Read a card of any kind from the plain values of a file (`Card.from_plain`)."""
    return CARDS[plain.get("kind", FINDER)].from_plain(plain)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _thawed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("filters", "science", "darks", "dark_sha256"), texts),
    **dict.fromkeys(("label_snr", "spectra", "trailed"), finite),
    **dict.fromkeys(("mean_dark_share", "cr_share_rate"), known(finite)),
    "star_widths": known(lambda pair: (finite(pair[0]), finite(pair[1]))),
    "tile_size": known(int),
}
"""What a card says of the data, by its name: a damaged one is refused when it is read, and not where it is used."""
