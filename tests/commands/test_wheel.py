"""The wheel: built, installed where nothing else of this checkout is, and used from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PLAIN, REPOSITORY

import deepcr_lightning

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into an environment that takes the other packages from this one."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    # What this environment has itself, without the checkout that is installed in it.
    (site / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(folder / "env"), "install", "--quiet", "--no-index"]
    install += ["--no-deps", "--ignore-installed", "--no-compile", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, cwd=folder)
    return folder / "env"


@pytest.fixture(scope="module")
def call(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Call the command that is installed, from a folder of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{installed}/bin:{environment['PATH']}"

    def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        settings = {"capture_output": True, "text": True, "cwd": folder, "env": environment}
        return subprocess.run(command, input=given, check=False, **settings)

    return run


IN_TURN = """
import sys
from hydra.core.global_hydra import GlobalHydra
from deepcr_lightning.__main__ import main
for line in sys.stdin.read().splitlines():
    GlobalHydra.instance().clear()
    sys.argv = line.split("\t")
    main()
"""
"""Several commands in one process: to import all that they need takes five seconds each time."""


@pytest.mark.slow
def test_the_wheel_trains_cleans_and_scores_from_another_folder(survey: Path, call: Call, tmp_path: Path) -> None:
    where = call("python", "-c", "import deepcr_lightning; print(deepcr_lightning.__file__)")
    assert str(REPOSITORY) not in where.stdout
    images = tmp_path / "images"
    images.symlink_to(survey / "science")
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks", f"data.store_dir={tmp_path}/tiles")
    model = (f"ckpt_path={tmp_path}/run/checkpoints/best.ckpt", "trainer=cpu", "keep_freed_memory=false")
    commands = (
        ("train", *data, *PLAIN, "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}/run"),
        ("predict", *model, f"input={images}"),
        ("evaluate", *model, f"input={survey}/science", f"truth={survey}/truth", f"output_dir={tmp_path}/scores"),
    )
    lines = "\n".join("\t".join(("deepcr-lightning", *command)) for command in commands)
    done = call("python", "-c", IN_TURN, given=lines)
    assert done.returncode == 0, done.stderr
    assert "Epoch 1/1: loss " in done.stdout
    assert f"output_dir= is not given: products go to {tmp_path}/images_cr" in done.stdout
    assert len(list((tmp_path / "images_cr").glob("*_crmask.fits"))) == 6
    assert (tmp_path / "scores" / "evaluation.json").is_file()


def test_the_installed_command_says_what_it_is_and_takes(call: Call) -> None:
    assert call("deepcr-lightning", "--version").stdout == f"deepcr-lightning {deepcr_lightning.__version__}\n"
    shown = call("deepcr-lightning", "train", "--help")
    assert "  f336w " in shown.stdout
    assert call("deepcr-lightning", "predict").stderr.startswith("error: input= is not given")
    assert call("deepcr-lightning", "predicts").returncode == 2


def test_bash_completes_the_installed_command(call: Call) -> None:
    typed = 'COMP_LINE="deepcr-lightning predict trainer=c"; COMP_CWORD=2'
    lines = f'eval "$(deepcr-lightning -sc install=bash)"; {typed}; hydra_bash_completion; echo "${{COMPREPLY[@]}}"'
    done = call("bash", "-c", lines)
    assert done.stdout.split() == ["trainer=cpu"], done.stderr
