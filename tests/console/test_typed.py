"""What users type: paths with any sign, habits from other programs, and what is left behind when it is refused."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ON_CPU, PLAIN, Result, last_line, write_hst
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

import deepcr_lightning
from deepcr_lightning.console.run_folder import new_folder, with_writable_folder
from deepcr_lightning.console.typed import override, understood
from deepcr_lightning.errors import InputError

Run = Callable[..., Result]
SIGNS = st.text(st.sampled_from("ab/.=,#[](){}'\"\\ ~:;&é*?!@%+-$1").filter(lambda sign: sign != "$"), min_size=1)


def read(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@given(SIGNS)
@settings(deadline=None)
def test_any_text_stands_in_quotes(text: str) -> None:
    assert read(override("input", text)) == text


@given(SIGNS)
@settings(deadline=None)
def test_what_was_understood_is_understood_again(text: str) -> None:
    try:
        once = understood([f"output_dir={text}"], "predict")
    except InputError:
        return
    assert understood(once, "predict") == once
    assert OverridesParser.create().parse_override(once[0]) is not None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("output_dir=/a/b=c", "/a/b=c"),
        ("output_dir=/a/b,c", "/a/b,c"),
        ("output_dir=/a/b#c (d) [e]'f", "/a/b#c (d) [e]'f"),
        (r"output_dir=/a/b\=c", "/a/b=c"),
        ("output_dir='/a/b=c'", "/a/b=c"),
        ('input="/data/i[ab]*_flc.fits"', "/data/i[ab]*_flc.fits"),
        ("output_dir=/a/é", "/a/é"),
        ("output_dir=2024", "2024"),
        ("output_dir=~/x", str(Path.home() / "x")),
        ("output_dir=~", str(Path.home())),
        ("output_dir='~/x'", str(Path.home() / "x")),
        ("input=[~/a,/b]", [str(Path.home() / "a"), "/b"]),
        ("input=null", None),
        ("input=mast:16801?filter=F336W", "mast:16801?filter=F336W"),
        ("input=mast:?target=M31*&filter=F336W,F814W", "mast:?target=M31*&filter=F336W,F814W"),
        ("download_dir=~/x", str(Path.home() / "x")),
        ("threshold={fpr:0.01}", {"fpr": 0.01}),
    ],
)
def test_paths_are_taken_as_they_stand(typed: str, meant: object) -> None:
    assert read(understood([typed], "predict")[0]) == meant


def test_an_address_is_one_value_in_a_sweep_too() -> None:
    address = "mast:16801?filter=F336W,F814W"
    arguments = understood(["-m", f"data.science={address}", "seed=1,2"], "train")
    assert read(arguments[1]) == address


def test_a_file_of_that_name_is_meant(tmp_path: Path) -> None:
    for name in ("[a]", "'b'", "{c}", "d,e"):
        (tmp_path / name).touch()
        assert read(understood([f"input={tmp_path}/{name}"], "predict")[0]) == f"{tmp_path}/{name}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name in ("[a]", "'b'", "{c}"):
            assert read(understood([f"input={name}"], "predict")[0]) == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["+treshold=0.3"], "+treshold=0.3: there is no option treshold; did you mean threshold=0.3?"),
        (["++xyz.a=1"], "there is no option xyz; --help lists"),
        (["--threshold", "0.3"], "--threshold: options are written as threshold=0.3"),
        (["--input=/a"], "--input: options are written as input=/a"),
        (["--treshold", "0.3"], "--treshold: options are written as threshold=0.3"),
        (["/a/b.fits", "/out"], "/a/b.fits: options are written as name=value, such as input=/a/b.fits"),
        (["threshold=a=b"], "threshold=a=b: cannot be parsed"),
        (["treshold=0.3"], "treshold=0.3: there is no option treshold; did you mean threshold=0.3?"),
        (["data.gain=2"], "data.gain=2: there is no option data; did you mean gain=2?"),
        (["Input=a"], "Input=a: there is no option Input; did you mean input=a?"),
        (["~treshold"], "~treshold: there is no option treshold"),
        (["products=mask,clean"], "products=mask,clean: put several values in brackets: 'products=[mask,clean]'"),
        (["overwrite=no"], "overwrite=no: must be true or false"),
        (["trim=1"], "trim=1: must be true or false"),
        (["+compress=yes"], "+compress=yes: must be true or false"),
        (["dq_bit=x"], "dq_bit=x: must be a number"),
        (["tile=a"], "tile=a: must be a number"),
        (["tile=true"], "tile=true: must be a number"),
        (
            ["output_dir=caf\udce9"],
            r"output_dir='caf\udce9': this name contains characters that cannot be printed in a line",
        ),
        (["input=a\nb"], r"input='a\nb': this name contains characters that cannot be printed in a line"),
    ],
)
def test_what_is_no_option_is_one_line(run_script: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run_script("predict.py", *arguments)
    assert result.status == 1
    assert last_line(result.err).startswith("error: ")
    assert message in last_line(result.err)
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_values_of_the_right_kind_are_taken() -> None:
    for typed in ("trainer.devices=auto", "data.trim=true", "~callbacks.figures", "+data.x=1", "hydra.verbose=true"):
        assert understood([typed], "train") == [typed]
    for typed in ("threshold={fpr:0.01}", "tile=null", "tile=128", "gain=1.5", "hydra/job_logging=none", "grow=1"):
        assert understood([typed], "predict") == [typed]
    sweep = ["-m", "threshold=0.3,0.5", "trim=true,false", "tile=64,128"]
    assert understood(sweep, "predict") == sweep
    with pytest.raises(InputError, match=r"^model.contrast=maybe: must be true or false"):
        understood(["model.contrast=maybe"], "train")


def test_the_version_is_ours(run_script: Run) -> None:
    for script in ("train.py", "predict.py", "evaluate.py", "threshold.py", "download.py", "view.py"):
        result = run_script(script, "--version")
        assert (result.status, result.out.strip()) == (0, f"deepcr-lightning {deepcr_lightning.__version__}")


def image(path: Path) -> Path:
    return write_hst(path, [np.random.default_rng(1).normal(30, 6, (40, 40))])


def predict(run_script: Run, trained: Path, *overrides: str) -> Result:
    model = (f"ckpt_path={trained}/checkpoints/best.ckpt", *ON_CPU)
    return run_script("predict.py", *model, *overrides)


def test_odd_names_from_end_to_end(trained: Path, run_script: Run, tmp_path: Path) -> None:
    image(tmp_path / "in=1, [M31] é#" / "M31_é_flc.fits")
    result = predict(run_script, trained, "input=in=1, [M31] é#", "output_dir=out=1", "products=mask", "grow=1")
    assert result.status == 0, result.err
    assert (tmp_path / "out=1" / "M31_é_crmask.fits").is_file()


def test_refused_commands_leave_no_folder(trained: Path, run_script: Run, tmp_path: Path) -> None:
    for bad, message in (
        (["input=nowhere", "output_dir=out"], "no such file"),
        (["output_dir=out"], "input= is not given"),
        (["grow=a", f"input={image(tmp_path / 'in' / 'a_flc.fits')}", "output_dir=out"], "grow=a: must be"),
        (["thresold=1"], "there is no option thresold; did you mean threshold=1?"),
    ):
        result = predict(run_script, trained, *bad)
        assert result.status == 1
        assert message in result.err
        assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["in"])


def test_failed_exposures_are_in_the_log_file(trained: Path, run_script: Run, tmp_path: Path) -> None:
    image(tmp_path / "in" / "a_flc.fits")
    (tmp_path / "in" / "b_flc.fits").write_text("no FITS")
    result = predict(run_script, trained, "input=in", "output_dir=out")
    assert result.status == 1
    assert "1 of 2 exposures were not cleaned" in result.err
    (log,) = (tmp_path / "outputs" / "predict").glob("*/predict.log")
    assert "b_flc.fits: cannot be read as FITS" in log.read_text()
    shutil.rmtree(tmp_path / "in")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "c_flc.fits").write_text("no FITS")
    assert "1 of 1 exposure was not cleaned" in predict(run_script, trained, "input=in", "output_dir=out").err


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda pattern: "2026-11-30_12-00-00")
    folders = [new_folder("outputs/train") for _ in range(3)]
    assert folders == [f"outputs/train/2026-11-30_12-00-00{end}" for end in ("", "_2", "_3")]
    for arguments in (["hydra.run.dir=run"], ["--help"], ["-m", "seed=1,2"], ["trainer=slurm"]):
        assert with_writable_folder(arguments) == arguments


def test_the_folder_that_an_experiment_names_is_the_runs(survey: Path, run_script: Run, tmp_path: Path) -> None:
    experiment = tmp_path / "own" / "experiment" / "mine.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text("# @package _global_\nhydra:\n  run:\n    dir: elsewhere\n")
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    result = run_script(
        "train.py", "--config-dir", str(tmp_path / "own"), "experiment=mine", *data, *PLAIN, "trainer.max_epochs=1"
    )
    assert result.status == 0, result.err
    assert (tmp_path / "elsewhere" / "checkpoints" / "best.ckpt").is_file()
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["tiles"]


def test_the_output_directory_alone_needs_to_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    arguments = with_writable_folder(["input=a", f"output_dir={tmp_path}/o u=t"])
    folder = Path(str(read(arguments[0])))
    assert folder.is_dir()
    assert folder.parent == tmp_path / "o u=t" / "logs"
    with pytest.raises(InputError, match="cannot be written; name a folder"):
        with_writable_folder(["input=a"])
    with pytest.raises(InputError, match=r"name a folder for the runs with hydra\.sweep\.dir="):
        with_writable_folder(["-m", f"output_dir={tmp_path}/out"])
    sweep = ["-m", "hydra.sweep.dir=/elsewhere"]
    assert with_writable_folder(sweep) == sweep


def test_a_run_in_a_folder_with_signs_is_resumed(survey: Path, run_script: Run, tmp_path: Path) -> None:
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    result = run_script("train.py", *data, *PLAIN, "trainer.max_epochs=1", "hydra.run.dir=a=b,c")
    assert result.status == 0, result.err
    for name in (r"a\=b\,c", "a=b,c"):
        result = run_script("train.py", f"ckpt_path={name}/checkpoints/last.ckpt", "trainer.max_epochs=2")
        assert result.status == 0, result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a=b,c", "outputs"]


def test_an_interrupt_says_how_to_go_on(
    trained: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepcr_lightning.prediction.mapping import ExposureMapping

    def interrupted(self: object, batch: object) -> None:
        raise KeyboardInterrupt

    image(tmp_path / "in" / "a_flc.fits")
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(ExposureMapping, "predict_step", interrupted)
        result = predict(run_script, trained, "input=in", "output_dir=out")
    signal.signal(signal.SIGINT, handler)
    assert result.status == 130
    assert "Stopped; run the same command again to clean the remaining exposures" in result.out
    assert predict(run_script, trained, "input=in", "output_dir=out").status == 0


def test_view_takes_a_file_as_other_programs_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.fits").touch()
    (tmp_path / "own").mkdir()
    assert understood(["a b.fits", "--no-browser", "grow=1"], "view") == ["input='a b.fits'", "browser=false", "grow=1"]
    assert understood(["--config-dir", "own", "own"], "view") == ["--config-dir", "own", "input=own"]
    for arguments, command in ((["nowhere.fits"], "view"), (["a b.fits"], "predict"), (["--no-browser"], "predict")):
        with pytest.raises(InputError, match="written as"):
            understood(arguments, command)


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("data.sience=x", "data.science=x"),
        ("trainer.max_epoch=3", "trainer.max_epochs=3"),
        ("model.deph=2", "model.depth=2"),
    ],
)
def test_a_mistyped_option_of_a_group_gets_the_nearest_name(typed: str, near: str) -> None:
    with pytest.raises(InputError, match=f"^{typed}: there is no option .*; did you mean {near}\\?$"):
        understood([typed], "train")
    assert understood(["--config-dir", "own", typed], "train")[-1] == typed, "configs of the user's may have it"


def test_options_of_any_choice_of_a_group_are_known() -> None:
    for typed in ("model.copies=3", "data.groups=x", "logger.csv.save_dir=x", "data.augmentation.charge=[1,2]"):
        assert understood([typed], "train") == [typed]
    for typed in (
        "model.settings.width=3",
        "callbacks.figures=null",
        "+trainer.limit_train_batches=3",
        "~callbacks.figures",
    ):
        assert understood([typed], "train") == [typed]
