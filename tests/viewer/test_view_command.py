"""The command view: what it refuses, where it finds masks, and what it says for a shell."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result, composed
from omegaconf import DictConfig

pytest.importorskip("bokeh", reason="the page needs the extra view")


from deepcr_lightning.commands.view import apply_to_all, view, window_maker
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.viewer.page_server import PageServer

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["input=nowhere"], "input=nowhere: no such file"),
        (["input={viewed}/empty"], "no FITS files with an exposure there"),
        (["products=[preview]"], "choose from mask, dq_copy, clean, regions"),
        (["fill=network"], "fill=network: choose from"),
        (["grow=9"], "grow=9: must be 0 to 5"),
        (["port={port}"], "port={port}: Address already in use; leave port= out"),
        (["port=99999"], "port=99999"),
        (["dq_bit=3"], "dq_bit=3: must be a power of 2"),
        (["ckpt_path=nowhere.ckpt"], "nowhere.ckpt"),
        (["threshold=1.5"], "threshold=1.5"),
        (["trainer.precision=bf16-mixed"], "only train and predict take it"),
    ],
)
def test_bad_input_is_one_line(viewed: Path, run_script: Run, overrides: list[str], message: str) -> None:
    (viewed / "empty").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        names = {"viewed": viewed, "port": taken.getsockname()[1]}
        given = [text.format(**names) for text in overrides]
        result = run_script("view.py", f"input={viewed}", "browser=false", "keep_freed_memory=false", *given)
    assert result.status == 1
    assert message.format(**names) in result.err
    assert "Traceback" not in result.err


def test_masks_that_predict_made_beside_the_input_are_found(viewed: Path, tmp_path: Path) -> None:
    cfg = composed("view", [f"input={viewed}"], tmp_path)
    window_maker(cfg)
    assert cfg.output_dir is None, "there are none: masks lie beside the exposures"
    assert "output_dir" not in apply_to_all(cfg, 0.37, 1)
    made = viewed.with_name(f"{viewed.name}_cr")
    made.mkdir()
    window_maker(cfg)
    assert cfg.output_dir == str(made)
    assert f"output_dir={made}" in apply_to_all(cfg, 0.37, 1)


@pytest.mark.parametrize(
    ("display", "browser", "opened"), [("", True, False), (":0", True, True), (":0", False, False)]
)
def test_without_a_display_the_address_is_said_and_no_browser_opened(
    view_config: DictConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    display: str,
    browser: bool,
    opened: bool,
) -> None:
    seen: list[str] = []
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("webbrowser.open", seen.append)
    monkeypatch.setattr(PageServer, "start", lambda server: server.io_loop.add_callback(server.io_loop.stop))
    monkeypatch.setattr(PageServer, "stop", lambda server: server._http.stop())  # what was not started cannot stop
    view_config.browser = browser
    with caplog.at_level("INFO", logger="view"):
        view(view_config)
    (said,) = [record.getMessage() for record in caplog.records if "http://127.0.0.1:" in record.getMessage()]
    assert [f"{address}; press Ctrl+C to stop" for address in seen] == ([said] if opened else [])


def test_the_command_for_all_is_for_a_shell(tmp_path: Path) -> None:
    cfg = composed("view", ["input=[/a b/x,/c]", "output_dir=/out"], tmp_path)
    assert apply_to_all(cfg, 0.37, 1) == (
        "deepcr-lightning predict 'input=['\"'\"'/a b/x'\"'\"',/c]' output_dir=/out threshold=0.37 grow=1"
    )


def test_the_command_for_all_reads_as_the_page_does(tmp_path: Path) -> None:
    said = ["units=counts/s", "gain=1.5", "exposure_time=300", "saturation=6e4", "extensions=[im1,4]", "trim=true"]
    cfg = composed("view", ["input=/a", "output_dir=/out", *said], tmp_path)
    given = composed("predict", shlex.split(apply_to_all(cfg, 0.5, 0))[2:], tmp_path)
    expected = ReadSettings("counts/s", 1.5, 300, 6e4, ("im1", 4), trim=True)
    assert ReadSettings.of(given) == ReadSettings.of(cfg) == expected
