"""Weights & Biases: servers that do not answer, that refuse, and runs without a login."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import wandb
from pytorch_lightning.loggers import WandbLogger

from deepcr_lightning.runs.wandb_run import answers, start_wandb, sync_command

KEY = "0" * 40


class Refusing(BaseHTTPRequestHandler):
    """A server that answers, and wants nobody."""

    def do_GET(self) -> None:
        self.send_error(401)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_answers_is_told_from_one_that_does_not() -> None:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    assert answers(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - start < 8


@pytest.fixture
def make_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., WandbLogger]:
    """Make loggers in a fresh folder, in an environment without anything of W&B."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return lambda **settings: WandbLogger(project="test", save_dir=str(tmp_path), **settings)


def test_without_a_login_the_run_is_offline(
    make_wandb: Callable[..., WandbLogger], caplog: pytest.LogCaptureFixture
) -> None:
    logger = start_wandb(make_wandb)
    command = sync_command(logger)
    logger.experiment.finish()
    assert command is not None
    assert Path(command.removeprefix("wandb sync ")).is_dir()
    assert f"No wandb login: the run is kept offline; send it later with: {command}" in caplog.text


def test_the_mode_that_the_person_sets_wins(
    make_wandb: Callable[..., WandbLogger], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger = start_wandb(make_wandb)
    assert sync_command(logger) is None
    logger.experiment.finish()
    assert "offline" not in caplog.text


def test_a_run_that_is_refused_goes_on_offline(
    make_wandb: Callable[..., WandbLogger],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """The server answers, and does not know the key."""
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    wandb.teardown()  # it reads its environment once a process
    logger = start_wandb(make_wandb)
    assert sync_command(logger) is not None
    logger.experiment.finish()
    wandb.teardown()
    server.shutdown()
    server.server_close()
    assert "wandb refused the run (" in caplog.text
    assert f"the run is kept offline; send it later with: wandb sync {tmp_path}/wandb/offline-run-" in caplog.text
