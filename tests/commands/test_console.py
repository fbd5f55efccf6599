"""The console command: its commands, what it completes, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PLAIN, REPOSITORY, Result, composed, last_line

import deepcr_lightning
from deepcr_lightning.__main__ import COMMANDS, CONFIGURED
from deepcr_lightning.commands.demo import STEPS
from deepcr_lightning.console.required import refuse_unknown
from deepcr_lightning.console.typed import understood
from deepcr_lightning.errors import InputError

Run = Callable[..., Result]

_WATCHED = """
import sys
from deepcr_lightning.__main__ import main
try:
    main()
except SystemExit as stop:
    print("status", stop.code)
print("imported" if "torch" in sys.modules else "light")
"""


def watched(folder: Path, *arguments: str, **environment: str) -> Result:
    """Run the console command in a process of its own; its last line says whether it imported PyTorch."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage: deepcr-lightning COMMAND"),
        (["trian", "experiment=f336w"], "trian: there is no such command; did you mean train?"),
        (["predict.py"], "did you mean predict?"),
        (["xyz"], "there is no such command; choose from train, predict, evaluate"),
        (["input=/data/a b"], "input=/data/a b: the command comes first, as in deepcr-lightning predict input="),
        (["--config-dir", "x", "train"], "--config-dir: the command comes first"),
    ],
)
def test_without_a_command_it_says_what_there_is(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["deepcr-lightning", *arguments])
    with pytest.raises(SystemExit) as stop:
        deepcr_lightning.__main__.main()
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert not shown.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("predict", "--help"),
        ("simulate", "--help"),
        ("export", "--help"),
        ("train", "+lerning_rate=1"),
        ("train", "data.science=x"),
        ("predict", "output_dir=x"),
        ("evaluate", "input=x"),
        ("threshold",),
        ("view",),
        ("download", "output_dir=x"),
    ],
)
def test_what_needs_no_network_does_not_wait_for_pytorch(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert watched(tmp_path, *arguments).out.splitlines()[-1] == "light"
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict",), "input= is not given; name a directory, a file, a quoted glob"),
        (("evaluate", "input=x"), "neither truth= nor darks= is given"),
        (("threshold",), "neither input= nor catalogues= is given"),
        (("download", "output_dir=x"), "none of proposal=, target=, cone= is given; say what to fetch"),
        (("train", "data.science=x"), "data.darks= is not given; name a directory"),
        (("train", "experiment=universal"), "data.science= and data.darks= are not given; name a directory"),
        (("train", "experiment=multi_exposure"), "data.science= is not given; name a directory"),
        (("train", "experiment=inpaint"), "data.science= and data.darks= are not given"),
        (("train", "experiment=oracle", "data.science=x", "data.darks=y"), "data.truth= is not given; name those of a"),
        (("train", "init=universal"), "not given (init= fits a model to exposures of your own)"),
    ],
)
def test_what_is_missing_is_asked_for_in_one_line(
    run_script: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run_script(*arguments)
    assert result.status == 1
    assert message in last_line(result.err)
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_a_folder_that_cannot_be_written_is_one_line(
    run_script: Run, survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for command in (("predict", f"input={survey}/science"), ("train", "experiment=f336w"), ("demo",)):
        result = run_script(*command)
        assert result.status == 1
        assert f"{tmp_path}: cannot be written" in last_line(result.err)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("treshold: 0.3\nabc: x", "abc, treshold: train has no such option, but a config that was added sets it"),
        ("data:\n  tile: 32", "data.tile: no such option; see --help for the options"),
        ("model:\n  width: 32", "model.width: no such option"),
        ("trainer:\n  gpus: 1", "trainer.gpus: no such option"),
    ],
)
def test_configs_of_another_version_are_refused_by_the_name_of_what_is_unknown(
    run_script: Run, survey: Path, tmp_path: Path, text: str, message: str
) -> None:
    experiment = tmp_path / "own" / "experiment" / "old.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text(f"# @package _global_\n{text}\n")
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks", f"data.store_dir={tmp_path}/own/tiles")
    result = run_script("train", "--config-dir", str(tmp_path / "own"), "experiment=old", *data, *PLAIN)
    assert result.status == 1
    assert message in last_line(result.err)
    assert [path.name for path in tmp_path.iterdir()] == ["own"], "nothing is left behind"


def test_a_config_may_have_variables_of_its_own(tmp_path: Path) -> None:
    for overrides in (["++mine=/data", "data.science='${mine}/science'"], ["++mine.a=1", "seed='${mine.a}'"]):
        refuse_unknown("train", composed("train", overrides, tmp_path))
    with pytest.raises(InputError, match="mine: train has no such option"):
        refuse_unknown("train", composed("train", ["++mine=/data"], tmp_path))


def test_a_config_that_would_be_hidden_is_refused(run_script: Run, survey: Path, tmp_path: Path) -> None:
    own = tmp_path / "own" / "data" / "label_free.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("science: null\ntiles: 32\n")
    for flag in (["--config-dir", "own"], ["--config-dir=own"], ["-cd", "own"]):
        result = run_script("train", *flag, "data.science=x", "data.darks=y")
        assert result.status == 1
        assert "own/data/label_free.yaml: deepcr-lightning has a config of this name" in last_line(result.err)
    own.write_bytes((REPOSITORY / "configs" / "data" / "label_free.yaml").read_bytes())
    assert "nowhere: no such file" in run_script("train", "-cd", "own", "data.science=nowhere", "data.darks=y").err


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("deepcr-lightning ", COMMANDS),
        ("deepcr-lightning pre", ("predict",)),
        ("deepcr-lightning predict trainer=", ("trainer=auto", "trainer=cpu")),
        ("deepcr-lightning predict out", ("output_dir=",)),
        ("deepcr-lightning train experiment=f3", ("experiment=f336w", "experiment=f350lp", "experiment=f390w")),
        ("deepcr-lightning simulate --", ()),
    ],
)
def test_a_shell_is_answered(tmp_path: Path, line: str, answers: tuple[str, ...]) -> None:
    shown = watched(tmp_path, "-sc", "query=bash", COMP_LINE=line).out.split()
    assert set(answers) <= set(shown)
    assert shown[-1] == "light"
    assert bool(answers) == (len(shown) > 1)


def test_the_demo_is_made_of_commands_that_are_understood(tmp_path: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert "$(BIN)/deepcr-lightning demo" in makefile
    for _, (name, *arguments) in STEPS:
        if name in CONFIGURED:
            overrides = understood(arguments, name)
            assert composed(name, overrides, tmp_path).hydra.run.dir.startswith("outputs/demo/")
        else:
            from deepcr_lightning.simulation.__main__ import parser

            assert parser().parse_args(arguments).out == "outputs/demo/simulated"


def test_the_demo_ends_with_a_step_that_fails(run_script: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fails(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        asked.append(command[3:])
        return subprocess.CompletedProcess(command, 0 if len(asked) < 2 else 7)

    monkeypatch.setattr("subprocess.run", fails)
    result = run_script("demo")
    assert result.status == 7
    assert asked == [list(command) for _, command in STEPS[:2]]
    assert "2 of 4: " in result.out
    assert "$ deepcr-lightning train experiment=demo" in result.out


@pytest.mark.parametrize(("command", "before"), [("download", ["download"]), ("download.py", [])])
def test_other_processes_of_a_run_get_the_whole_command_line(
    run_script: Run, monkeypatch: pytest.MonkeyPatch, command: str, before: list[str]
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("deepcr_lightning.commands.download.download", lambda cfg: seen.extend(sys.argv[1:]))
    given = ["proposal=16801", "output_dir=a b"]
    assert run_script(command, *given).status == 0
    assert seen == [*before, "proposal=16801", "output_dir='a b'"]
