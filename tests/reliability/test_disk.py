"""What is written stays, on disks that fail as well."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result, small_disk, write_hst

from deepcr_lightning.atomic import make_folder_once, remove_partials, write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.prediction.summary import CLEANED, Row, Summary
from deepcr_lightning.training.checkpoint_io import RunCheckpoint

Run = Callable[..., Result]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Note what is synced, and what is renamed, in its order."""
    noted: list[tuple[str, str]] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def synced(descriptor: int) -> None:
        noted.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        fsync(descriptor)

    def moved(true: Any) -> Any:
        def move(source: Any, target: Any) -> None:
            noted.append(("move", Path(target).name))
            true(source, target)

        return move

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved(replace))
    monkeypatch.setattr(os, "rename", moved(rename))
    return noted


def test_a_file_is_on_the_disk_before_its_name_and_so_is_its_name(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.fits", lambda partial: partial.write_text("x"))
    (first, partial), *rest = calls
    assert (first, partial.startswith(".partial-")) == ("sync", True)
    # The folder may be new, and those above it: once.
    assert rest[:3] == [("move", "a.fits"), ("sync", tmp_path.name), ("sync", tmp_path.parent.name)]
    calls.clear()
    write_atomically(tmp_path / "a.fits", lambda partial: partial.write_text("y"))
    assert calls[1:] == [("move", "a.fits"), ("sync", tmp_path.name)]


def test_a_folder_is_on_the_disk_before_its_name(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    make_folder_once(tmp_path / "store", lambda folder: (folder / "inner.bin").write_text("x"))
    kinds = [(kind, name if kind == "move" or name == "inner.bin" else "folder") for kind, name in calls]
    assert kinds[:4] == [("sync", "inner.bin"), ("sync", "folder"), ("move", "store"), ("sync", "folder")]


def test_a_row_is_on_the_disk(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    summary = Summary(tmp_path)
    calls.clear()
    summary.add(Row("a.fits", CLEANED))
    assert calls == [("sync", "summary.csv")]


@pytest.mark.parametrize("name", ["replace", "fsync", "chmod", "open"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EROFS, errno.EDQUOT])
def test_a_call_that_fails_leaves_nothing(
    name: str, number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("before")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(InputError, match=r"a\.txt: cannot be written \("):
            write_atomically(tmp_path / "a.txt", lambda partial: partial.write_text("after"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"


@pytest.mark.parametrize("name", ["scandir", "unlink", "remove"])
def test_what_cannot_be_tidied_up_stops_nothing(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / f".partial-{platform.node()}@{2**30}-x-a.fits").write_text("left by a process that is gone")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def no_write(partial: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, name, fail)
    remove_partials(tmp_path)
    with pytest.raises(InputError, match="No space left"):
        write_atomically(tmp_path / "a.fits", no_write)


def test_a_file_system_without_locks_is_named_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    summary = Summary(tmp_path)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    for work in (lambda: Summary(tmp_path), summary.rows, summary.tidy, lambda: summary.add(Row("a.fits", CLEANED))):
        with pytest.raises(InputError, match=r"summary\.csv: cannot be written \(No locks available\)"):
            work()


@pytest.mark.parametrize("size", [0, 1, 40, 100])
def test_a_disk_that_is_full_in_the_first_line_of_a_table_spoils_nothing(size: int, tmp_path: Path) -> None:
    with small_disk(size), pytest.raises(InputError, match="cannot be written"):
        Summary(tmp_path)
    Summary(tmp_path).add(Row("a.fits", CLEANED))
    assert [row.file for row in Summary(tmp_path).rows()] == ["a.fits"]


def test_a_run_that_was_moved_keeps_its_best_score(trained: Path, tmp_path: Path) -> None:
    states = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    saved = next(state for name, state in states.items() if "RunCheckpoint" in name)
    (tmp_path / "best.ckpt").write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes())
    moved = RunCheckpoint(str(tmp_path), monitor=saved["monitor"])
    moved.load_state_dict(saved)
    assert moved.best_model_score == saved["best_model_score"]
    assert moved.best_model_path == str(tmp_path / "best.ckpt")
    assert list(moved.best_k_models) == [str(tmp_path / "best.ckpt")]


@pytest.mark.parametrize("more", [(), ("hydra.run.dir=runs/mine",)])
def test_a_disk_without_room_for_the_settings_of_a_run(
    more: tuple[str, ...], trained: Path, run_script: Run, tmp_path: Path
) -> None:
    write_hst(tmp_path / "in" / "a_flc.fits", [np.zeros((64, 64), np.float32)])
    with small_disk(3000):
        result = run_script("predict.py", f"ckpt_path={trained}", "input=in", "output_dir=out", *more)
    assert result.status == 1
    assert "the settings of the run cannot be written (File too large); name another folder with" in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("failing", ["mkdir", "write"])
def test_a_sweep_and_a_default_folder_on_a_disk_that_fails(
    failing: str, survey: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    data = [f"data.science={survey}/science", f"data.darks={survey}/darks"]
    if failing == "mkdir":
        monkeypatch.setattr(Path, "mkdir", fail)
        result = run_script("train.py", *data)
        cure = r"cannot be created \(Read-only file system\); name another with hydra.run.dir="
    else:
        monkeypatch.setattr("hydra.core.utils._save_config", fail)
        result = run_script("train.py", "-m", "seed=1,2", *data, "hydra.sweep.dir=swept")
        cure = r"the settings of the run cannot be written \(Read-only file system\); .*hydra.sweep.dir="
    assert result.status == 1
    assert re.search(rf"error: .*{cure}$", result.err.strip())
    assert "Traceback" not in result.err
