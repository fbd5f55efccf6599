"""Weights that deepCR publishes, read as networks of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import REAL_DATA
from deepcr_state import weights_of
from torch import Tensor

import deepcr_lightning
from deepcr_lightning.errors import InputError
from deepcr_lightning.models.deepcr_weights import deepcr_network
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.sliding_window import predict_probability

WEIGHTS = REAL_DATA / "weights"


def deepcr(weights: dict[str, Tensor], image: Tensor, norm: str) -> Tensor:
    """Apply the network as its weights say, norm by norm."""
    w = {key.removeprefix("module."): value for key, value in weights.items()}

    def block(x: Tensor, name: str) -> Tensor:
        for place in range(2):
            key = f"{name}.{place * (2 if norm == 'weight' else 3)}"
            if norm == "weight":
                v = w[f"{key}.weight_v"]
                kernel = w[f"{key}.weight_g"] * v / v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
                x = F.conv2d(x, kernel, w[f"{key}.bias"], padding=1)
            else:
                x = F.conv2d(x, w[f"{key}.weight"], w[f"{key}.bias"], padding=1)
                after = f"{name}.{place * 3 + 1}"
                x = F.batch_norm(
                    x, *(w[f"{after}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
                )
            x = F.relu(x)
        return x

    top = block(image, "inc.conv.conv")
    low = block(F.max_pool2d(top, 2), "down1.mpconv.1.conv")
    up = F.conv_transpose2d(low, w["up8.up.weight"], w["up8.up.bias"], stride=2)
    merged = block(torch.cat([top, up], 1), "up8.conv.conv")
    return torch.sigmoid(F.conv2d(merged, w["outc.conv.weight"], w["outc.conv.bias"]))


@pytest.mark.parametrize("norm", ["weight", "batch"])
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_folded_network_gives_the_map_of_the_original(norm: str, prefix: str, tmp_path: Path) -> None:
    weights = weights_of(norm, prefix=prefix)
    torch.save(weights, tmp_path / "NAME.pth")
    model = load_model(tmp_path / "NAME.pth")
    image = torch.randn(1, 1, 32, 40)
    with torch.no_grad():
        ours = torch.sigmoid(model.net(image))
    torch.testing.assert_close(ours, deepcr(weights, image, norm), atol=1e-5, rtol=0)
    assert model.card.normalisation == ("standard" if norm == "weight" else "electrons")


def test_units_in_hundreds_are_folded() -> None:
    weights = weights_of("batch")
    image = 100 * torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        plain = deepcr_network("ACS-WFC", weights)[0](image / 100)
        hundreds = deepcr_network("ACS-WFC-F606W-2-4", weights)[0](image)
    torch.testing.assert_close(hundreds, plain)


def test_standard_scale_is_that_of_the_whole_array(tmp_path: Path) -> None:
    weights = weights_of("weight")
    torch.save(weights, tmp_path / "WFC3-UVIS.pth")
    model = load_model(tmp_path / "WFC3-UVIS.pth")
    image = np.random.default_rng(0).normal(30, 5, (64, 64)).astype(np.float32)
    image[5, 5] = 30000
    mean, deviation = model.scale.levels(image, np.zeros(image.shape, bool))
    found = predict_probability(model.net, image, mean, deviation, scale=model.scale.apply, margin=8, step=2)
    scaled = torch.from_numpy((image - image.mean()) / image.std())[None, None]
    np.testing.assert_allclose(found[8:-8, 8:-8], deepcr(weights, scaled, "weight")[0, 0, 8:-8, 8:-8], atol=1e-5)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(
        InputError, match=r"other.pth: not the weights of a deepCR .*unexpected: conv.weight; missing: "
    ):
        load_model(tmp_path / "other.pth")
    weights = weights_of("batch")
    weights["module.outc.conv.weight"] = torch.zeros(1, 9, 1, 1)
    torch.save(weights, tmp_path / "wrong.pth")
    with pytest.raises(InputError, match=r"wrong.pth: its tensors do not fit"):
        load_model(tmp_path / "wrong.pth")


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"no published weights at {WEIGHTS}")
@pytest.mark.parametrize(("name", "norm"), [("WFC3-UVIS", "weight"), ("ACS-WFC", "batch")])
def test_published_weights(name: str, norm: str) -> None:
    model = load_model(WEIGHTS / f"{name}.pth")
    weights = torch.load(WEIGHTS / f"{name}.pth", map_location="cpu", weights_only=True)
    torch.manual_seed(1)
    image = torch.randn(1, 1, 64, 64) if norm == "weight" else 30 + 50 * torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        ours = torch.sigmoid(model.net(image))
    # What is folded is rounded anew: of 40 images on three kinds of processor one differed by 1.04e-5.
    torch.testing.assert_close(ours, deepcr(weights, image, norm), atol=1e-4, rtol=0)


def test_what_stands_under_a_mask_is_not_seen(tmp_path: Path) -> None:
    torch.save(weights_of("weight"), tmp_path / "weights.pth")
    finder = deepcr_lightning.load_model(tmp_path / "weights.pth")
    image = np.random.default_rng(1).normal(60, 8, (48, 64))
    core = np.hypot(*(np.indices(image.shape) - 24)) < 3
    maps = []
    for value in (-999.0, 65000.0, np.nan):
        image[core] = value
        maps.append(finder.probability(image, mask=core))
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])
