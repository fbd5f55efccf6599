from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.fused import fused
from deepcr_lightning.networks.memory_layout import channels_last, for_training
from deepcr_lightning.networks.unet import UNet


def test_published_shape() -> None:
    net = UNet(depth=2, hidden=32, norm="none")
    assert sum(p.numel() for p in net.parameters()) == 100_961
    assert net.margin == 8
    assert net.step == 2


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_any_size(depth: int, norm: str) -> None:
    net = UNet(depth, 4, norm).eval()
    for shape in ((1, 1), (7, 33), (16, 16)):
        assert net(torch.zeros(1, 1, *shape)).shape == (1, 1, *shape)


def test_blocks_of_two_pixels_become_channels() -> None:
    plain, folded = UNet(3, 8), UNet(3, 8, contrast=True, fold=2)
    assert folded.step == 2 * plain.step
    assert folded.down[0][0].in_channels == 8  # four pixels of two planes
    with torch.no_grad():
        for parameter in folded.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        image = torch.randn(1, 1, 33, 46)
        assert folded(image).shape == image.shape
        # The odd last row is as good as any: what is below it does not matter where nothing reaches it.
        assert folded(image).std() > 0
    with pytest.raises(InputError, match="fold=3"):
        UNet(fold=3)


@pytest.mark.parametrize(
    ("depth", "settings"),
    [(1, {}), (2, {}), (3, {}), (4, {}), (2, {"contrast": True}), (2, {"fold": 2}), (3, {"contrast": True, "fold": 2})],
)
def test_margin_is_all_that_a_tile_must_see(depth: int, settings: dict[str, int]) -> None:
    torch.manual_seed(depth)
    net = UNet(depth, 6, **settings).eval()  # type: ignore[arg-type]
    for parameter in net.parameters():  # large weights, so that far pixels matter
        torch.nn.init.normal_(parameter, std=0.3)
    image = torch.randn(1, 1, 256, 256)
    with torch.no_grad():
        whole = net(image)
        right = net(image[..., 128 - net.margin :])[..., net.margin :]
        left = net(image[..., : 128 + net.margin])[..., :128]
        closer = net(image[..., 128 - net.margin + net.step :])[..., net.margin - net.step :]
    scale = whole.abs().max()
    # Images of other sizes are summed in another order, which has made 3e-6 of this; a step less of margin makes 6e-3.
    rounding = 1e-4
    assert (right - whole[..., 128:]).abs().max() / scale < rounding
    assert (left - whole[..., :128]).abs().max() / scale < rounding
    if depth < 4 and len(settings) < 2:  # of its 48 pixels it needs 46, and rounding adds some to the others
        assert (closer - whole[..., 128:]).abs().max() / scale > rounding


@pytest.mark.parametrize("settings", [{"depth": 0}, {"depth": 6}, {"hidden": 0}, {"norm": "layer"}])
def test_shape_is_checked(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"model.{next(iter(settings))}="):
        UNet(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 64, 80), (1, 51, 37), (1, 5, 7), (1, 1, 1)])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_fused_is_the_same_network(depth: int, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(depth)
    net = UNet(depth, 6).eval().to(memory_format=torch.channels_last)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.kaiming_normal_(module.weight)
    image = torch.randn(shape[0], 1, *shape[1:]).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = net(image)
        torch.testing.assert_close(fused(net)(image), expected, atol=1e-4, rtol=1e-5)
    assert (fused(net).margin, fused(net).step) == (net.margin, net.step)
    assert isinstance(fused(UNet(2, 6, "group")), UNet), "a norm that is not folded stays as it is"


def _other(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, then: str) -> torch.Tensor:
    """Convolve without the ReLU that was asked for."""
    del then
    return torch.nn.functional.conv2d(x, weight, bias, padding=1)


def _gone(*_: object) -> torch.Tensor:
    raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_convolution_pointwise'")


@pytest.mark.parametrize("convolve", [_other, _gone])
def test_where_private_operators_changed_the_plain_network_stands_in(
    convolve: Callable[..., torch.Tensor], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    net = UNet(2, 6, fold=2, contrast=True).eval()
    assert fused(net) is not net
    assert not caplog.records
    monkeypatch.setattr("deepcr_lightning.networks.fused._convolve", convolve)
    assert fused(net) is net
    assert "Fused convolutions fail with torch" in caplog.text


@pytest.mark.parametrize(
    ("capability", "hidden", "usual"), [("AVX2", 16, True), ("AVX2", 8, False), ("AVX512", 16, False)]
)
def test_layout_changes_nothing_but_the_speed(
    capability: str, hidden: int, usual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    torch.manual_seed(0)
    net, image = UNet(2, hidden, "batch").train(), torch.randn(2, 1, 32, 48)
    found = []
    for given in (image, for_training(image, hidden), channels_last(image)):
        net.zero_grad()
        logits = net(given)
        logits.square().mean().backward()
        found.append((logits, *(parameter.grad for parameter in net.parameters())))
    assert net.down[0](for_training(image, hidden)).is_contiguous() is usual
    # Layouts sum in other orders, which changes logits by some 3e-6; and where that takes an activation across the zero
    # of a ReLU, gradients, the largest of which is 8, by up to 3e-3.
    for logits, *gradients in found[1:]:
        torch.testing.assert_close(logits, found[0][0], rtol=0, atol=1e-4)
        for one, other in zip(found[0][1:], gradients, strict=True):
            torch.testing.assert_close(other, one, rtol=0, atol=0.02)
    assert for_training(image, hidden).data_ptr() == image.data_ptr(), "no copy"
