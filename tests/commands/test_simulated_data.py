"""Training without data: the first command that anybody types."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from conftest import PLAIN, Result, composed, last_line

from deepcr_lightning.commands import simulated_data
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.simulation.simulated_set import simulate_set

Run = Callable[..., Result]
QUICK = [text for text in PLAIN if not text.startswith("trainer.max_epochs")]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Sets small enough for a test; the list gets the filters of each that is made."""
    made: list[Sequence[str]] = []

    def simulate(place: Path, filters: Sequence[str]) -> None:
        made.append(filters)
        simulate_set(place, filters=filters, exposures=4, darks=4, size=(96, 96), chips=1, dithers=1)

    monkeypatch.setattr(simulated_data, "_simulate", simulate)
    return made


def config(run: Path) -> dict:
    return yaml.safe_load((run / "config.yaml").read_text())


def test_a_bare_training_simulates_once_and_says_so_first(
    run_script: Run, tmp_path: Path, small: list[Sequence[str]]
) -> None:
    result = run_script("train", "experiment=f336w", *QUICK, "trainer.max_epochs=1", "hydra.run.dir=run")
    assert result.status == 0, result.err
    first = result.out.splitlines()[0]
    assert f"simulated F336W exposures in {tmp_path}/outputs/simulated/F336W" in first
    assert "for your own, add data.science=DIR data.darks=DIR" in first
    assert "average precision" in result.out
    assert not (tmp_path / "run" / "report.html").is_file()
    used = config(tmp_path / "run")
    assert used["data"]["science"] == f"{tmp_path}/outputs/simulated/F336W/science"
    assert used["trainer"]["max_epochs"] == 1, "what the user types is kept"
    assert used["data"]["val_tiles"] == 64, "the rest is small"
    again = run_script("train", "ckpt_path=run/checkpoints/last.ckpt", "trainer.max_epochs=2")
    assert again.status == 0, again.err
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["earlier"]) == 1
    assert small == [["F336W"]], "simulated once"


def test_a_sweep_without_data_shares_one_set(run_script: Run, tmp_path: Path, small: list[Sequence[str]]) -> None:
    given = ("experiment=f336w,f814w", "seed=1,2", *QUICK, "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    result = run_script("train", "-m", *given)
    assert result.status == 0, result.err
    assert sorted(small) == [["F336W"], ["F814W"]]
    done = [json.loads((tmp_path / "sweep" / job / "result.json").read_text())["status"] for job in "0123"]
    assert done == ["done"] * 4


def test_it_takes_the_filters_that_are_asked_for(tmp_path: Path, small: list[Sequence[str]]) -> None:
    for overrides, made in (([], ["F336W"]), (["data.filters=[f606w,F814W]"], ["F606W", "F814W"])):
        cfg = composed("train", overrides, tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            simulated_data.with_data(cfg, overrides)
        assert small[-1] == made
        assert cfg.trainer.max_epochs == 5


def test_data_that_are_given_are_left_alone(tmp_path: Path, small: list[Sequence[str]]) -> None:
    for given in ("data.science=x", "data.darks=x", "data.truth=x", "init=universal", "experiment=universal"):
        cfg = composed("train", [given], tmp_path)
        before = cfg.data.copy(), cfg.trainer.copy()
        simulated_data.with_data(cfg, [given])
        assert (cfg.data, cfg.trainer) == before
    assert not small


def test_the_set_has_exposures_and_darks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(simulated_data._SET, "size", (96, 96))
    monkeypatch.chdir(tmp_path)
    cfg = composed("train", ["data.filters=[f606w]"], tmp_path)
    simulated_data.with_data(cfg, [])
    science, darks = sorted(Path(cfg.data.science).iterdir()), sorted(Path(cfg.data.darks).iterdir())
    assert (len(science), len(darks)) == (12, 6)
    for path in (*science, *darks):
        exposure = read_exposure(path)
        assert [chip.electrons.shape for chip in exposure.chips] == [(96, 96)]
        assert exposure.filter == "F606W" or path in darks


def test_a_filter_that_nobody_can_simulate_is_one_line(run_script: Run, tmp_path: Path) -> None:
    result = run_script("train", "data.filters=[F999W]")
    assert result.status == 1
    assert "data.science= is not given, and F999W cannot be simulated" in last_line(result.err)
    assert not list(tmp_path.iterdir())
