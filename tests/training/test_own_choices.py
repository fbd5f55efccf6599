"""A network, a loss, an optimiser and a tracker of one's own, as docs/guide/extend.md says."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ON_CPU, PLAIN, REPOSITORY, Result, call_script

import deepcr_lightning
from deepcr_lightning.errors import InputError
from deepcr_lightning.export import main as export_main
from deepcr_lightning.models.card import FinderCard
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY, read_card_of
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.own import OwnNetwork
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

Run = Callable[..., Result]
PAGE = (REPOSITORY / "docs" / "guide" / "extend.md").read_text()
SMALL = tuple(text for text in PLAIN if not text.startswith(("model.", "trainer.max", "data.tiles")))
QUICK = (*SMALL, "data.tiles_per_epoch=16", "trainer.max_epochs=1")
NETWORK = ("model.network=mycr.Dilated", "model.settings={width: 8}")


def blocks(language: str) -> list[str]:
    """Code of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


MODULE, IN_PYTHON = blocks("python")
COMMANDS = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def fresh_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name in ("mycr", "tracker_here", "evil"):
            del sys.modules[name]


def filled_in(command: list[str], survey: Path) -> list[str]:
    """Put files of the test into a command of the page."""
    places = {"SCIENCE": survey / "science", "DARKS": survey / "darks", "TRUTH": survey / "truth"}
    return [re.sub(r"\b(SCIENCE|DARKS|TRUTH)$", lambda found: str(places[found[1]]), text) for text in command]


@pytest.fixture(scope="module")
def own(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page, after its first command."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mycr.py").write_text(MODULE)
    _, script, *overrides = filled_in(COMMANDS[0], survey)
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert call_script(monkeypatch, folder, script, *overrides, *QUICK, "data.store_dir=tiles") == 0
    return folder


@pytest.fixture
def here(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same in a folder that a test may change."""
    shutil.copytree(own, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def best(here: Path) -> Path:
    return here / "RUN" / "checkpoints" / "best.ckpt"


def test_the_page_runs(here: Path, survey: Path, run_script: Run) -> None:
    for command in COMMANDS[1:3]:
        _, script, *overrides = filled_in(command, survey)
        more = ["peers=[RUN/checkpoints/last.ckpt,universal]"] if script == "evaluate.py" else []
        result = run_script(script, *overrides, *more, *ON_CPU)
        assert result.status == 0, result.err
    assert len(list((here / "CLEANED").glob("*_crmask.fits"))) == 6
    names: dict[str, object] = {"image": np.random.default_rng(1).normal(30, 5, (40, 50)).astype(np.float32)}
    exec(IN_PYTHON, names)
    assert np.shape(names["mask"]) == (40, 50)
    card = read_card_of(here / "RUN" / "checkpoints" / "best.ckpt")
    assert isinstance(card, FinderCard)
    assert (card.network_name, card.network, card.calibrated) == ("mycr.Dilated", {"width": 8}, True)
    assert FinderCard.from_plain(card.to_plain()) == card


def test_a_sweep_takes_names_as_values(here: Path, survey: Path, run_script: Run) -> None:
    sweep = next(command for command in COMMANDS if "-m" in command)
    _, script, *overrides = filled_in(sweep, survey)
    folder = f"hydra.sweep.dir={here}/sweep"
    result = run_script(script, *overrides, *QUICK, "data.store_dir=tiles", "model.depth=1", "model.hidden=2", folder)
    assert result.status == 0, result.err
    table = (here / "sweep" / "sweep.csv").read_text()
    assert table.count("mycr.Dilated") == 2
    assert "model.depth, model.hidden: not used by mycr.Dilated" in result.out
    cards = [read_card_of(here / "sweep" / job / "checkpoints" / "best.ckpt") for job in "0123"]
    names = [(card.network_name, card.calibrated) for card in cards if isinstance(card, FinderCard)]
    assert names == [("unet", True)] * 2 + [("mycr.Dilated", True)] * 2


def test_a_checkpoint_is_opened_by_the_name_that_the_user_gives(best: Path) -> None:
    (best.parents[2] / "others.py").write_text("from mycr import Dilated\nfrom mycr import Dilated as Alias\n")
    model = load_model(best, "mycr.Dilated")
    assert isinstance(model.net, OwnNetwork)
    assert "\n" not in repr(model)
    assert "Dilated, " in repr(deepcr_lightning.load_model(best, network=type(model.net.net)))
    assert load_model(best, "others.Alias").net.margin == 7, "the same class under another name"
    for name, message in (
        (None, r"was trained with mycr.Dilated, which is not a network of this package .* add network=mycr.Dilated"),
        ("unet", r"network=unet: .* was trained with mycr.Dilated; name that"),
        ("mycr.square", r"network=mycr.square: .* was trained with mycr.Dilated; name that"),
        ("mycr.Dilatde", r"mycr has no Dilatde; did you mean mycr.Dilated"),
        ("gone.Net", "gone cannot be imported"),
    ):
        with pytest.raises(InputError, match=message):
            load_model(best, name)
    with pytest.raises(InputError, match=r"network=mycr.Dilated: .* was trained with unet; leave network= out"):
        load_model("universal", "mycr.Dilated")


def test_calibration_is_in_the_map(best: Path) -> None:
    checkpoint = torch.load(best, weights_only=True)
    image = torch.randn(1, 1, 30, 40)
    before = load_model(best, "mycr.Dilated").net(image)
    scale, shift = checkpoint[DESCRIPTION_KEY]["calibration"]
    checkpoint[DESCRIPTION_KEY]["calibration"] = [2 * scale, 2 * shift + 1]
    torch.save(checkpoint, best)
    torch.testing.assert_close(load_model(best, "mycr.Dilated").net(image), 2 * before + 1)


@pytest.mark.parametrize("named", [None, "mycr.Dilated", "unet"])
def test_nothing_is_imported_because_a_file_names_it(best: Path, named: str | None) -> None:
    checkpoint = torch.load(best, weights_only=True)
    checkpoint[DESCRIPTION_KEY]["network_name"] = "evil.Net"
    torch.save(checkpoint, best)
    Path("evil.py").write_text("from pathlib import Path\nPath('executed').touch()\nfrom mycr import Dilated as Net\n")
    with pytest.raises(InputError, match=r"was trained with evil\.Net"):
        load_model(best, named)
    assert not Path("executed").exists()
    checkpoint[DESCRIPTION_KEY]["network_name"] = "evil.Net\nerror: all is well"
    torch.save(checkpoint, best)
    with pytest.raises(InputError, match="its description is damaged"):
        load_model(best, named)


def test_a_network_that_has_changed_since_is_refused(best: Path) -> None:
    checkpoint = torch.load(best, weights_only=True)
    for settings, message in (({"width": 9}, "its weights do not fit network="), ({"depth": 1}, "cannot be made with")):
        checkpoint[DESCRIPTION_KEY]["network"] = settings
        torch.save(checkpoint, best)
        with pytest.raises(InputError, match=message):
            load_model(best, "mycr.Dilated")


@pytest.mark.parametrize(
    "planted",
    [
        "model.network=evil.Net",
        "model.loss=evil.Net",
    ],
)
def test_a_run_folder_names_no_code(planted: str, trained: Path, run_script: Run, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    with (tmp_path / "run" / "overrides.yaml").open("a") as file:
        file.write(f"- '{planted}'\n")
    result = run_script("train.py", "ckpt_path=run/checkpoints/last.ckpt")
    assert result.status == 1
    assert f"has {planted!r}, which could run code of whoever wrote that file" in result.err


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_resume(here: Path, run_script: Run) -> None:
    last = f"ckpt_path={here}/RUN/checkpoints/last.ckpt"
    own = ["model.network=mycr.Dilated", "model.loss=mycr.square", "model.optimiser=mycr.momentum"]
    result = run_script("train.py", last, "trainer.max_epochs=2")
    assert result.status == 1
    assert all(name in result.err for name in own)
    assert "which could run code of whoever wrote that file" in result.err
    for n, wrong in enumerate(("torch.nn.Identity", "bce", "torch.optim.SGD")):
        typed = [*own[:n], f"{own[n].partition('=')[0]}={wrong}", *own[n + 1 :]]
        result = run_script("train.py", last, *typed, "trainer.max_epochs=2")
        assert result.status == 1
        message = "Identity: has no margin" if n == 0 else f"was trained with {own[n]}; resume with the same"
        assert message in result.err
    result = run_script("train.py", last, *own, "model.settings={width: 4}", "trainer.max_epochs=2")
    assert "was trained with model.settings={'width': 8}; resume with the same" in result.err
    result = run_script("train.py", last, *own, "trainer.max_epochs=2")
    assert result.status == 0, result.err
    assert torch.load(here / "RUN" / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1


def test_a_run_that_is_stopped_says_what_to_name_again(here: Path) -> None:
    names = {"network": "mycr.Dilated", "loss": "mycr.square", "optimiser": "mycr.momentum"}
    module = CosmicRaySegmenter(settings={"width": 2}, **names)  # type: ignore[arg-type]
    assert module.own_options() == {f"model.{option}": name for option, name in names.items()}
    assert CosmicRaySegmenter(depth=1, hidden=2, loss="bce").own_options() == {}


def test_init(here: Path, survey: Path, run_script: Run) -> None:
    data = [f"data.science={survey}/science", f"data.darks={survey}/darks", "data.store_dir=tiles"]
    data += [*SMALL, "init=RUN/checkpoints/best.ckpt", "trainer.max_epochs=1", "hydra.run.dir=tuned"]
    result = run_script("train.py", *data)
    assert result.status == 1
    assert "was trained with mycr.Dilated" in result.err
    result = run_script("train.py", *data, NETWORK[0], "model.settings={width: 4}")
    assert "was trained with model.settings={'width': 8}; leave model.settings out" in result.err
    result = run_script("train.py", *data, NETWORK[0])
    assert result.status == 0, result.err
    before, after = (load_model(here / run / "checkpoints" / "best.ckpt", "mycr.Dilated") for run in ("RUN", "tuned"))
    assert after.card.network == {"width": 8}
    image = torch.randn(1, 1, 30, 40)
    if (after.card.run or {})["judgement"]["kept"]:
        assert not torch.equal(after.net(image), before.net(image))
    else:
        torch.testing.assert_close(after.net(image), before.net(image))


def test_export(best: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export_main([str(best), "out.ckpt"]) == 1
    assert "add network=mycr.Dilated" in capsys.readouterr().err
    assert export_main([str(best), "out.pth", "--network", "mycr.Dilated"]) == 1
    assert "deepCR has no network like Dilated" in capsys.readouterr().err
    assert export_main([str(best), "out.ckpt", "--network", "mycr.Dilated"]) == 0
    assert "predict network=mycr.Dilated ckpt_path=out.ckpt" in capsys.readouterr().out
    image = torch.randn(1, 1, 30, 40)
    handed, whole = (load_model(path, "mycr.Dilated").net(image) for path in ("out.ckpt", best))
    torch.testing.assert_close(handed, whole)


@pytest.mark.skipif(torch.__version__ < "2.9", reason="earlier ones are refused")
def test_export_to_onnx(best: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    assert export_main([str(best), "out.onnx", "--network", "mycr.Dilated"]) == 0
    model = load_model(best, "mycr.Dilated")
    electrons = np.random.default_rng(1).normal(30, 5, (1, 1, 37, 46)).astype(np.float32)
    levels = {name: np.full((1, 1, 1, 1), value, np.float32) for name, value in (("sky", 30), ("noise", 5))}
    [made] = runtime.InferenceSession("out.onnx").run(None, {"electrons": electrons, **levels})
    with torch.no_grad():
        expected = torch.sigmoid(model.net(model.scale.apply(torch.from_numpy(electrons), 30.0, 5.0)))
    np.testing.assert_allclose(made, expected, atol=1e-5)


TRACKER = """
import json
from pathlib import Path
from pytorch_lightning.loggers.logger import Logger
class Tracker(Logger):
    def __init__(self, experiment_name, tracking_uri):
        super().__init__()
        self.folder = Path(tracking_uri)
        self.folder.mkdir()
    name, version = "mine", 1
    def write(self, kind, value):
        with (self.folder / kind).open("a") as file:
            file.write(json.dumps(value) + "\\n")
    def log_hyperparams(self, params): self.write("config", params)
    def log_metrics(self, metrics, step=None): self.write("numbers", metrics)
    def log_image(self, key, images, step): self.write("pictures", [key, images])
"""


def test_any_logger_follows_a_run(here: Path, survey: Path, run_script: Run) -> None:
    [config] = blocks("yaml")
    config = config.replace("pytorch_lightning.loggers.MLFlowLogger", "tracker_here.Tracker")
    config = config.replace("http://localhost:5000", f"{here}/tracked")
    (here / "conf" / "logger").mkdir(parents=True)
    (here / "conf" / "logger" / "mlflow.yaml").write_text(config)
    (here / "tracker_here.py").write_text(TRACKER)
    sys.path.append(str(here))
    _, script, *overrides = filled_in(COMMANDS[-1], survey)
    quick = [text for text in QUICK if "figures" not in text]
    result = run_script(script, *overrides, *quick, "data.store_dir=tiles", "model.depth=1", "model.hidden=2")
    assert result.status == 0, result.err
    told = {kind: (here / "tracked" / kind).read_text() for kind in ("config", "numbers", "pictures")}
    assert '"experiment_name": "m31"' in told["config"]
    assert "val/average_precision" in told["numbers"]
    assert "figures/tiles" in told["pictures"]
