"""The card of a model: what files of today and of earlier versions say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcr_lightning.errors import InputError
from deepcr_lightning.inpainting.fill_model import load_fill_model
from deepcr_lightning.inpainting.network import Filler
from deepcr_lightning.inpainting.planes import RECIPE
from deepcr_lightning.models.card import LABEL_SNR, DataCard, FillerCard, FinderCard, read_card
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.unet import UNet

# As the first version with format 2 wrote it: no kind, gaps, contrast or fold, and data that say less.
EARLIEST: dict[str, Any] = {
    "format": 2,
    "version": "0.1.0",
    "network": {"depth": 1, "hidden": 2, "norm": "none"},
    "normalisation": "stabilised-10",
    "threshold": 0.4,
    "calibrated": True,
    "curves": {"threshold": [0.1, 0.9], "completeness": [1.0, 0.5], "purity": [0.5, 1.0]},
    "plateau": None,
    "calibration": [2.0, 0.5],
    "data": {
        "filters": ["F336W"],
        "science": ["/data/a_flc.fits"],
        "darks": ["/data/d_flt.fits"],
        "normalisation": "stabilised-10",
        "tile_size": 64,
        "mean_dark_share": 0.5,
    },
    "run": None,
}
# As the version before this one wrote it.
LATER = {
    **EARLIEST,
    "gaps": "closed",
    "network": {"depth": 2, "hidden": 2, "norm": "none", "contrast": True, "fold": 2},
    "data": {
        **EARLIEST["data"],
        "label_snr": 1.5,
        "store": "a10c",
        "fingerprint": "9c44",
        "cr_share_rate": 3.5e-05,
        "dark_sha256": ["2b3b"],
        "star_widths": [1.2, 3.4],
        "spectra": 0.1,
        "trailed": 0.2,
    },
    "run": {"started": "2026-11-30T01:21:44+00:00", "versions": {"torch": "2.13.0"}},
}
FILLS = {
    "format": 2,
    "kind": "filler",
    "version": "0.1.0",
    "network": {"depth": 1, "hidden": 2, "norm": "none"},
    "recipe": 6,
    "normalisation": "stabilised-10",
    "data": EARLIEST["data"],
    "run": None,
}


def saved(path: Path, net: torch.nn.Module, description: dict[str, Any]) -> Path:
    """Write a checkpoint as earlier versions did."""
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": weights, "deepcr_lightning": description}, path)
    return path


@pytest.mark.parametrize("description", [EARLIEST, LATER])
def test_a_checkpoint_of_an_earlier_version_loads(description: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = UNet(**description["network"]).eval()
    model = load_model(saved(tmp_path / "old.ckpt", net, description))
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(model.net(image), 2.0 * net(image) + 0.5, rtol=1e-4, atol=1e-4)
    card = model.card
    assert (card.threshold, card.calibrated, card.closes_gaps) == (0.4, True, description is LATER)
    assert card.data.filters == ("F336W",)
    assert card.data.label_snr == (1.5 if description is LATER else LABEL_SNR)
    assert card.data.star_widths == ((1.2, 3.4) if description is LATER else None)
    assert card.data.cr_share_rate == (3.5e-05 if description is LATER else None)
    assert card.network["contrast"] == (description is LATER)


def test_an_inpainting_network_of_an_earlier_version_loads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Filler(**FILLS["network"]).eval()
    model = load_fill_model(saved(tmp_path / "old.ckpt", net, FILLS))
    assert model.card.recipe == RECIPE
    for name, value in net.state_dict().items():
        torch.testing.assert_close(model.net.state_dict()[name], value)


def test_nothing_that_an_earlier_version_said_is_lost() -> None:
    for plain in (EARLIEST, LATER, FILLS):
        card = read_card(plain)
        again = card.to_plain()
        assert read_card(again) == card
        for name in set(plain) - {"network", "data"}:
            assert again[name] == plain[name], name
        assert again["network"].items() >= plain["network"].items()
        assert again["data"].items() >= plain["data"].items()


@pytest.mark.parametrize("lost", ["network", "threshold", "calibrated"])
def test_a_damaged_card_is_refused_in_a_line(lost: str, tmp_path: Path) -> None:
    description = {name: value for name, value in LATER.items() if name != lost}
    path = saved(tmp_path / "damaged.ckpt", UNet(**LATER["network"]), description)
    with pytest.raises(InputError, match=r"damaged\.ckpt: its description is damaged"):
        load_model(path)


@pytest.mark.parametrize("prior", [0, 1, -0.02, 1e-308, float("nan"), "many", [0.02]])
def test_a_share_that_no_cosmic_rays_cover_is_refused(prior: Any, tmp_path: Path) -> None:
    path = saved(tmp_path / "damaged.ckpt", UNet(**LATER["network"]), {**LATER, "prior": prior})
    with pytest.raises(InputError, match=r"damaged\.ckpt: its description is damaged"):
        load_model(path)


@given(
    st.floats(0.01, 0.99),
    st.booleans(),
    st.none() | st.floats(0, 1),
    st.tuples(st.floats(0.1, 9), st.floats(-9, 9)),
    st.lists(st.text(max_size=9), max_size=3),
    st.none() | st.tuples(st.floats(0, 9), st.floats(0, 9)),
    st.none() | st.floats(1e-5, 0.99),
)
def test_a_card_comes_back_as_it_was(
    threshold: float,
    calibrated: bool,
    plateau: float | None,
    calibration: tuple[float, float],
    filters: list[str],
    widths: tuple[float, float] | None,
    prior: float | None,
) -> None:
    network = {"depth": 3, "hidden": 8, "norm": "batch", "contrast": True, "fold": 2}
    data = DataCard(filters=tuple(filters), star_widths=widths)
    finder = FinderCard(
        network=network,
        data=data,
        threshold=threshold,
        calibrated=calibrated,
        plateau=plateau,
        calibration=calibration,
        prior=prior,
        evens_noise=not calibrated,
    )
    filler = FillerCard(network=network, data=data, recipe=RECIPE)
    for card in (finder, filler, replace(finder, closes_gaps=False, run={"started": "now"})):
        assert read_card(card.to_plain()) == card
