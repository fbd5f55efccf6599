"""Short versions of the campaigns of benchmarks/reliability; docs/studies/reliability.md has the long ones."""

from __future__ import annotations

import importlib

import pytest
from conftest import REPOSITORY

SHORT = {
    "hostile_fits": ["--count", "40", "--seed", "7"],
    "hostile_models": ["--count", "60"],
    "wild_numbers": ["--count", "20"],
    "determinism": ["--count", "2"],  # resumed runs and tiles have tests of their own
    "disk": ["--count", "1", "--kinds", "full", "fault", "train"],
    "kills": ["--count", "1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_short_campaign(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks" / "reliability"))
    assert importlib.import_module(name).main(SHORT[name]) == 0, capsys.readouterr().out
