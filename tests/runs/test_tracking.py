from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import REPOSITORY, TINY, composed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.runs.record import git_state
from deepcr_lightning.runs.report import write_report
from deepcr_lightning.scores.bins import BINS, bin_centres
from deepcr_lightning.scores.calibration import SHARES
from deepcr_lightning.scores.reliability import reliability_without_truth
from deepcr_lightning.tiles.build import build_store
from deepcr_lightning.tiles.fingerprint import store_fingerprint
from deepcr_lightning.training.pace import gradient_norm

KEY = "0" * 40


class Page(HTMLParser):
    """Collects the tags of a page; what is left open at the end is an error."""

    VOID = ("meta", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def tracked(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Train with every logger, with a W&B login whose server does not answer; return the run and what it printed."""
    folder = tmp_path_factory.mktemp("tracked")
    data = [f"data.science={survey}/science", f"data.darks={survey}/darks", "data.augmentation.layers=[1,1]"]
    settings = [*TINY, "trainer.log_every_n_steps=2", "logger=[csv,tensorboard,wandb]", "hydra.run.dir=run"]
    environment = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY, "WANDB_SILENT": "true"}
    command = ["env", "-u", "WANDB_MODE", *(f"{name}={value}" for name, value in environment.items())]
    command += [sys.executable, str(REPOSITORY / "train.py"), *data, *settings]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "run", done.stdout + done.stderr


@pytest.mark.slow
def test_an_unreachable_server_leaves_an_offline_run(tracked: tuple[Path, str]) -> None:
    run, printed = tracked
    (kept,) = (run / "wandb").glob("offline-run-*")
    assert (
        f"No answer from the wandb server http://127.0.0.1:9: the run is kept offline; send it later with: "
        f"wandb sync {kept}" in printed
    )
    assert f"Send the offline run to W&B: wandb sync {kept}" in printed
    assert list(kept.glob("run-*.wandb"))
    pictures = {path.name.partition("_")[0] for path in kept.rglob("*.png")}
    assert pictures == {"tiles", "curves", "reliability"}


def test_every_logger_gets_the_numbers(tracked: tuple[Path, str]) -> None:
    run, _ = tracked
    with (run / "metrics" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["train/loss_step", "val/average_precision", "learning_rate", "test/purity"]
    names += [f"train/{name}_{when}" for name in ("gradient_norm", "tiles_per_second") for when in ("step", "epoch")]
    for name in names:
        values = [float(row[name]) for row in rows if row.get(name)]
        assert values, name
        assert np.isfinite(values).all(), name
    stepped = [int(row["step"]) for row in rows if row["train/gradient_norm_step"]]
    assert stepped
    assert all((step + 1) % 2 == 0 for step in stepped), "only steps that are logged are measured"
    events = EventAccumulator(str(run / "tensorboard" / "version_0")).Reload()
    assert set(names) <= set(events.Tags()["scalars"])
    assert {"figures/tiles", "figures/curves", "figures/reliability"} == set(events.Tags()["images"])


def test_the_record_repeats_the_run(tracked: tuple[Path, str]) -> None:
    run, _ = tracked
    record = json.loads((run / "run.json").read_text())
    assert record["command"].startswith("deepcr-lightning train data.science=")
    assert record["versions"]["torch"] == torch.__version__
    assert record["device"]["count"] == 1
    assert record["git"] == git_state()
    data = record["data"]
    assert data["exposures"] == {name: {"train": 1, "val": 1, "test": 1} for name in ("F336W", "F814W")}
    assert sum(data["darks"].values()) == 4
    assert len(data["fingerprint"]) == 64
    description = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["deepcr_lightning"]
    assert description["run"] == record
    assert description["data"]["fingerprint"] == data["fingerprint"]
    for logger in ("metrics", "tensorboard"):
        told = yaml.unsafe_load((run / logger / "version_0" / "hparams.yaml").read_text())
        assert told["run"]["data"] == data
        assert told["model"]["hidden"] == 4


def test_the_report_stands_alone(tracked: tuple[Path, str]) -> None:
    run, printed = tracked
    text = (run / "report.html").read_text()
    page = Page(text)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert "refresh" not in text
    assert not re.search(r"(?:href|src)=\"(?!data:)", text)
    pictures = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    inline = {base64.b64decode(picture.partition("base64,")[2]) for picture in pictures}
    assert inline == {path.read_bytes() for path in (run / "figures").iterdir()}
    assert len(inline) == 4
    record = json.loads((run / "run.json").read_text())
    for word in (
        "deepcr-lightning predict ckpt_path=",
        "checkpoints/best.ckpt input=EXPOSURES",
        "finished, 2 of 2 epochs",
        "Scores, estimated without truth",
        "test, best checkpoint",
        "Threshold of the mask: <b>0.5</b>",
        record["data"]["fingerprint"],
        "F814W exposures, 500 s",
        "<summary>The whole config</summary>",
    ):
        assert word in text, word
    assert f"Report: {run}/report.html" in printed


def test_a_report_escapes_and_tells_how_far_it_is(tracked: tuple[Path, str], tmp_path: Path) -> None:
    record = json.loads((tracked[0] / "run.json").read_text()) | {"command": "python train.py '<b>&'"}
    (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "config.yaml").write_text("threshold: auto\nname: <script>\n")
    shutil.copytree(tracked[0] / "checkpoints", tmp_path / "checkpoints")
    history = {"val/loss": [(0, 0.5), (1, 0.2), (2, 0.3)], "val/purity": [(0, 0.1), (1, 0.7), (2, 0.6)]}
    write_report(tmp_path / "report.html", "running", history, 9, "estimated without truth")
    text = (tmp_path / "report.html").read_text()
    Page(text)
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;&amp;" in text
    assert "running, 3 of 9 epochs" in text
    assert '<meta http-equiv="refresh" content="60">' in text
    assert "harmonic mean is highest" in text
    assert re.search(r"best checkpoint \(epoch 2\).*last \(epoch 3\)", text)
    assert "<td>0.7000</td><td>0.6000</td>" in text
    assert not list(tmp_path.glob(".partial*"))


@pytest.mark.parametrize(
    ("choice", "names"),
    [("csv", ["csv"]), ("wandb", ["csv", "wandb"]), ("[csv,tensorboard]", ["csv", "tensorboard"]), ("none", [])],
)
def test_one_logger_or_several(choice: str, names: list[str], tmp_path: Path) -> None:
    assert list(composed("train", [f"logger={choice}"], tmp_path).logger) == names


def test_the_fingerprint_is_that_of_the_content(survey: Path, tmp_path: Path) -> None:
    def fingerprint(folder: Path, name: str) -> str:
        files = [list(find_exposures("data", str(folder / side))) for side in ("science", "darks")]
        if name == "backwards":
            files = [side[::-1] for side in files]
        return store_fingerprint(build_store(tmp_path / name, files[0], files[1], 32))

    moved = tmp_path / "moved"
    shutil.copytree(survey, moved)
    first = fingerprint(survey, "first")
    assert fingerprint(moved, "second") == first
    assert fingerprint(moved, "backwards") == first
    path = moved / "darks" / "idrk01d1q_flt.fits"
    changed = bytearray(path.read_bytes())
    shutil.copy(moved / "darks" / "idrk02d1q_flt.fits", path)
    assert path.read_bytes() != changed
    assert fingerprint(moved, "changed") != first


def test_gradient_norm_is_that_which_clipping_finds() -> None:
    network = UNet(2, 4, "none")
    network(torch.randn(1, 1, 32, 32)).square().mean().backward()
    expected = torch.nn.utils.clip_grad_norm_(network.parameters(), 1e9)
    torch.testing.assert_close(gradient_norm(network), expected)


@pytest.mark.parametrize(("scale", "calibrated"), [(1.0, True), (0.5, False)])
def test_reliability_needs_no_truth(scale: float, calibrated: bool) -> None:
    """Pixels are CRs with the chance that the map says, and half or a fifth of the CRs is labelled."""
    chance = torch.sigmoid(bin_centres(torch.device("cpu")))
    counts = torch.zeros(SHARES, 2, BINS, dtype=torch.float64)
    for row in (SHARES // 2, SHARES // 5):
        labelled = (row + 0.5) / SHARES * chance
        counts[row, 1], counts[row, 0] = 1000 * labelled, 1000 * (1 - labelled)
    result = reliability_without_truth(counts, scale, 0.0)
    assert result.pixels.sum() == pytest.approx(2 * 1000 * BINS)
    inner = slice(3, -3)
    assert (abs(result.seen - result.said)[inner].max() < 1e-6) == calibrated


def test_a_commit_is_that_of_the_code_alone(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    code = tmp_path / "code"
    code.mkdir()
    (code / "__init__.py").write_text("")
    assert git_state(code) is None
    subprocess.run([*git, "init", "-q"], check=True)
    assert git_state(code) is None, "code below a checkout that does not know it"
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    state = git_state(code)
    assert state is not None
    assert (len(state["commit"]), state["dirty"]) == (40, False)
    (code / "__init__.py").write_text("x = 1\n")
    changed = git_state(code)
    assert changed is not None
    assert changed["dirty"]
