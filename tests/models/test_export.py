"""Networks written for other programs, and models found by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import REAL_DATA
from torch.torch_version import TorchVersion

from deepcr_lightning.errors import InputError
from deepcr_lightning.export import main
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.models.deepcr_weights import deepcr_state
from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import find_model_file
from deepcr_lightning.models.onnx_graph import write_onnx
from deepcr_lightning.networks.scale import normalise
from deepcr_lightning.networks.unet import UNet, fold_batch_norm
from deepcr_lightning.prediction.sliding_window import predict_probability

ONNX = pytest.mark.skipif(torch.__version__ < "2.9", reason="earlier ones are refused")
# The package builds its network with a function that PyTorch is going to replace.
PEER = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


def lively(depth: int = 2, norm: str = "none", contrast: bool = False, fold: int = 1) -> UNet:
    """Make a network that answers to its input, with batch statistics that are not 0 and 1."""
    torch.manual_seed(depth)
    net = UNet(depth, 6, norm, contrast=contrast, fold=fold).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                assert values is not None
                values.uniform_(0.5, 1.5)
    return net


def chip(shape: tuple[int, int] = (96, 128)) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.normal(30, 6, shape) + 500 * (rng.random(shape) < 0.02)).astype(np.float32)


def our_map(path: Path | str, electrons: np.ndarray) -> np.ndarray:
    model = load_model(path)
    levels = model.scale.levels(electrons, np.ones(electrons.shape, bool))
    return predict_probability(
        model.net, electrons, *levels, scale=model.scale.apply, margin=model.net.margin, step=model.net.step
    )


@pytest.mark.parametrize(("depth", "settings"), [(1, {}), (2, {}), (3, {}), (3, {"contrast": True, "fold": 2})])
def test_batch_norm_folds_into_the_same_map(depth: int, settings: dict[str, int]) -> None:
    net, image = lively(depth, "batch", **settings), torch.randn(1, 1, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(fold_batch_norm(net)(image), net(image), atol=1e-4, rtol=1e-5)
    assert fold_batch_norm(net).norm == "none"


@PEER
def test_deepcr_loads_what_we_export(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deepcr = pytest.importorskip("deepCR")
    checkpoint, electrons = trained / "checkpoints" / "best.ckpt", chip()
    assert main([str(checkpoint), str(tmp_path / "ours.pth")]) == 0
    usage = capsys.readouterr().out
    assert "hidden=4" in usage
    assert "normalise(" in usage
    image = normalise(torch.from_numpy(electrons), *sky_and_noise(electrons)).numpy()
    package = deepcr.deepCR(mask=str(tmp_path / "ours.pth"), hidden=4)
    theirs = package.clean(image, binary=False, segment=False)
    ours = our_map(checkpoint, electrons)
    assert ours.std() > 1e-3
    # deepCR pads with zeros where we reflect.
    np.testing.assert_allclose(theirs[8:-8, 8:-8], ours[8:-8, 8:-8], atol=1e-4)
    np.testing.assert_allclose(our_map(tmp_path / "ours.pth", electrons), ours, atol=1e-5)
    assert load_model(tmp_path / "ours.pth").threshold == load_model(checkpoint).threshold


@PEER
def test_the_package_and_we_agree_on_its_own_weights() -> None:
    deepcr = pytest.importorskip("deepCR")
    electrons = chip()
    for name in ("WFC3-UVIS", "ACS-WFC"):
        theirs = deepcr.deepCR(mask=name).clean(electrons, binary=False, segment=False)
        np.testing.assert_allclose(our_map(name, electrons)[8:-8, 8:-8], theirs[8:-8, 8:-8], atol=1e-4)


def test_a_dead_channel_is_exported_too() -> None:
    net = lively()
    with torch.no_grad():
        net.down[0][0].weight[2] = 0
    state = deepcr_state(net)
    assert all(value.isfinite().all() for value in state.values())
    direction, length = (state[f"module.inc.conv.conv.0.weight_{kind}"] for kind in "vg")
    weight = direction * (length / direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1))
    torch.testing.assert_close(weight, net.down[0][0].weight.detach())


def test_a_network_that_deepcr_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"fold 2 cannot be written for deepCR.*ONNX"):
        deepcr_state(UNet(2, 6, fold=2))


@ONNX
@pytest.mark.parametrize(("depth", "settings"), [(1, {}), (2, {}), (4, {}), (2, {"contrast": True, "fold": 2})])
def test_onnx_is_the_network_at_any_size(depth: int, settings: dict[str, int], tmp_path: Path) -> None:
    net = lively(depth, **settings)  # type: ignore[arg-type]
    write_onnx(net, normalise, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for shape in ((1, 64, 80), (3, 51, 37), (1, 5, 7)):
        electrons = torch.from_numpy(np.stack([chip(shape[1:])] * shape[0]))[:, None]
        sky, noise = torch.full((shape[0], 1, 1, 1), 30.0), torch.full((shape[0], 1, 1, 1), 6.0)
        with torch.no_grad():
            expected = torch.sigmoid(net(normalise(electrons, sky, noise)))
        [found] = session.run(None, {"electrons": electrons.numpy(), "sky": sky.numpy(), "noise": noise.numpy()})
        # Another program sums in another order; 4e-6 has been seen.
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4)


def test_onnx_by_a_pytorch_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.6.0+cpu"))
    with pytest.raises(InputError, match=r"needs PyTorch 2\.9 or newer, and 2\.6\.0\+cpu is installed"):
        write_onnx(lively(), normalise, tmp_path / "net.onnx")


@ONNX
def test_onnx_of_a_checkpoint(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(trained / "checkpoints" / "best.ckpt"), str(tmp_path / "net.onnx")]) == 0
    assert "electrons (B, 1, H, W)" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "net.onnx.json"]


@pytest.mark.parametrize(
    ("out", "message"), [("net.txt", "must be .pth"), ("missing/../file/net.pth", "cannot be written")]
)
def test_bad_places_are_one_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, message: str
) -> None:
    (tmp_path / "file").touch()
    assert main([str(trained / "checkpoints" / "best.ckpt"), str(tmp_path / out)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_network_is_never_written_over_itself(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint = tmp_path / "my net.ckpt"
    checkpoint.write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes())
    for out in (str(checkpoint), "~/my net.ckpt"):
        assert main([str(checkpoint), out]) == 1
        assert "my net.ckpt: is the network itself; give another file to write" in capsys.readouterr().err
    assert checkpoint.read_bytes() == (trained / "checkpoints" / "best.ckpt").read_bytes()
    assert main([str(checkpoint), "~/lean net.ckpt"]) == 0
    assert f"predict 'ckpt_path={tmp_path}/lean net.ckpt' input=DIR" in capsys.readouterr().out


def test_networks_that_deepcr_cannot_hold() -> None:
    with pytest.raises(InputError, match="depth 3"):
        deepcr_state(lively(3))
    with pytest.raises(InputError, match="group norm"):
        deepcr_state(lively(2, "group"))


def test_models_are_found_by_name(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m31.ckpt").write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes())
    monkeypatch.setenv("DEEPCR_LIGHTNING_MODELS", str(tmp_path))
    assert find_model_file("m31") == tmp_path / "m31.ckpt"
    assert load_model("m31").net.hidden == 4
    with pytest.raises(InputError, match=r"ckpt_path=m33: no such file; .* or one of .*m31"):
        find_model_file("m33")


def test_an_export_under_a_published_name_is_itself(tmp_path: Path) -> None:
    pytest.importorskip("deepCR")
    assert main(["example_model", str(tmp_path / "example_model.pth")]) == 0
    electrons = chip()
    np.testing.assert_allclose(
        our_map(tmp_path / "example_model.pth", electrons), our_map("example_model", electrons), atol=1e-5
    )
    other = deepcr_state(lively())
    torch.save(other, tmp_path / "example_model.pth")
    with pytest.raises(InputError, match="does not describe"):
        load_model(tmp_path / "example_model.pth")


def test_a_description_that_is_none_is_refused(tmp_path: Path, trained: Path) -> None:
    assert main([str(trained / "checkpoints" / "best.ckpt"), str(tmp_path / "ours.pth")]) == 0
    (tmp_path / "ours.pth.json").write_text("{}")
    with pytest.raises(InputError, match=r"does not describe ours\.pth"):
        load_model(tmp_path / "ours.pth")


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no published weights at {REAL_DATA}")
def test_by_path_and_by_name_are_the_same() -> None:
    pytest.importorskip("deepCR")
    electrons = chip()
    for name in ("WFC3-UVIS", "ACS-WFC"):
        np.testing.assert_array_equal(
            our_map(name, electrons), our_map(REAL_DATA / "weights" / f"{name}.pth", electrons)
        )
