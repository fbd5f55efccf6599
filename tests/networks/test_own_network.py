"""Names that a user gives, and networks of their own: what they lack is said."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepcr_lightning.errors import InputError
from deepcr_lightning.named import find_named
from deepcr_lightning.networks.choice import is_named, make_network, name_of
from deepcr_lightning.networks.unet import UNet

TABLE = {"ours": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the test runs in; what it imports from there is forgotten."""
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


class Local(nn.Module):
    """One convolution of 3 x 3 pixels."""

    margin, step, inputs = 1, 1, 1

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, outputs, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image)


class Pooling(Local):
    """Pools once, so that tiles must start at even pixels."""

    margin, step = 4, 2

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.interpolate(self.conv(nn.functional.max_pool2d(image, 2)), image.shape[-2:])


class Unmeasured(nn.Conv2d):
    step = 1


class Crooked(Pooling):
    margin = 3


class Negative(Local):
    margin = -1


class Several(Local):
    inputs = 2


class Shrinking(Local):
    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image)[..., 1:-1, 1:-1]


class Squeezing(Local):
    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image).squeeze()


class Tupled(Local):
    def forward(self, image: Tensor) -> Tensor:
        return (self.conv(image),)  # type: ignore[return-value]


class Sure(Local):
    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image) > 0


class Failing(Local):
    def forward(self, image: Tensor) -> Tensor:
        raise RuntimeError("no such kernel\nand more lines")


class Empty(Local):
    def __init__(self) -> None:
        nn.Module.__init__(self)


class Global(Local):
    """Sees the whole image, whatever it says."""

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image) + image.mean()


class Misaligned(Pooling):
    """Pools, and says that tiles may start anywhere."""

    step = 1


def test_a_network_that_says_the_truth_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    for made in (make_network(Local, {}), make_network(Pooling, {})):
        image = torch.rand(2, 1, 12, 16)
        torch.testing.assert_close(made(image), made.net(image))  # type: ignore[operator]
        assert made.training
    assert not caplog.records


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        (Unmeasured, {"in_channels": 1, "out_channels": 1, "kernel_size": 1}, "has no margin and no inputs"),
        (Crooked, {}, "its margin=3 must be a multiple of its step=2"),
        (Negative, {}, "its margin=-1 must be a whole number, at least 0"),
        (Several, {}, "its inputs=2; a network sees one plane"),
        (Shrinking, {}, r"gives shape \(1, 1, 3, 4\) for an image of shape \(1, 1, 5, 6\)"),
        (Squeezing, {}, r"gives shape \(5, 6\) for an image"),
        (Local, {"outputs": 2}, r"gives shape \(1, 2, 5, 6\) for an image"),
        (Tupled, {}, "gives a tuple for an image"),
        (Sure, {}, "gives numbers of type torch.bool"),
        (Failing, {}, r"fails on an image of shape \(1, 1, 5, 6\): RuntimeError: no such kernel$"),
        (Empty, {}, "has no weights to train"),
        (Local, {"width": 3}, "cannot be made with width=3 .TypeError: .*width"),
        (dict, {}, "makes a dict; it must make a torch.nn.Module"),
        (3, {}, "is a int; name a class"),
    ],
)
def test_what_a_network_lacks_is_said(network: object, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_network(network, settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", [Global, Misaligned])
def test_a_network_that_looks_farther_than_it_says_is_warned_about(
    network: type[Local], caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(1)
    with caplog.at_level(logging.WARNING):
        make_network(network, {})
    assert f"{network.__name__}: a pixel depends on more than its margin={network.margin}" in caplog.text


def test_ours_needs_no_word() -> None:
    assert isinstance(make_network("unet", {"depth": 1, "hidden": 2}), UNet)


def test_names_of_the_users_own(folder: Path) -> None:
    (folder / "mine_here.py").write_text("class Net: ...\n\nnumber = 2\n")
    (folder / "broken_here.py").write_text("import torch\nraise RuntimeError('no licence\\nfor it')\n")
    assert find_named("model.loss", "ours", TABLE) == 1
    assert find_named("model.loss", "mine_here.number", TABLE) == 2
    for name, message in (
        ("theirs", r"model.loss=theirs: must be one of ours, or the name of your own as Python imports it"),
        ("mine here.number", "must be one of ours"),
        ("mine_here.", "must be one of ours"),
        ("../mine_here.number", "must be one of ours"),
        ("mine_here.nubmer", "mine_here has no nubmer; did you mean mine_here.number?"),
        ("mine_here.x", "mine_here has no x$"),
        ("not_there.Net", "not_there cannot be imported .ModuleNotFoundError: No module named 'not_there'"),
        ("broken_here.Net", "broken_here cannot be imported .RuntimeError: no licence.; run from its folder"),
    ):
        with pytest.raises(InputError, match=message):
            find_named("model.loss", name, TABLE)


def test_nothing_in_the_folder_takes_the_place_of_a_package(folder: Path) -> None:
    sys.modules.pop("colorsys", None)
    (folder / "colorsys.py").write_text("rgb_to_hsv = None\n")
    assert find_named("model.loss", "colorsys.rgb_to_hsv", TABLE) is not None


def test_packages_bring_networks_under_short_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = folder / "brought-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[deepcr_lightning.networks]\nbrought = brought:Net\nlost = gone:Net\n")
    lines = ["from torch import nn", "class Net(nn.Conv2d):", "    margin, step, inputs = 1, 1, 1"]
    (folder / "brought.py").write_text(
        "\n".join([*lines, "    def __init__(self): super().__init__(1, 1, 3, padding=1)"])
    )
    monkeypatch.syspath_prepend(folder)
    made = make_network("brought", {})
    assert name_of("brought") == "brought"
    assert is_named("brought.Net", "brought"), "the name under which it was defined"
    assert type(made.net).__name__ == "Net"  # type: ignore[union-attr]
    with pytest.raises(InputError, match="network=lost: gone:Net cannot be imported"):
        make_network("lost", {})
    with pytest.raises(InputError, match="must be one of unet, brought, lost"):
        make_network("borught", {})
