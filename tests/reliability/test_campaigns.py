"""Short versions of the campaigns of benchmarks/reliability; docs/studies/reliability.md has the long ones."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from conftest import REPOSITORY

SHORT = {
    "hostile_fits": ["--count", "40", "--seed", "7"],
    "hostile_models": ["--count", "60"],
    "wild_numbers": ["--count", "20"],
    "determinism": ["--count", "5"],
    "disk": ["--count", "1", "--kinds", "full", "--works", "predict"],
    "kills": ["--count", "1", "--times", "1", "--kinds", "save", "download"],  # kills of the others have tests
    "load": ["--exposures", "60", "--crowd", "16", "--processes", "4", "--jobs", "20", "--side", "500", "--store", "0"],
}
READ = {"hostile_models": ["model"], "wild_numbers": ["prediction", "training"]}
"""Kinds of which some case has to be read: where all is refused, nothing can be."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_short_campaign(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks" / "reliability"))
    rows = tmp_path / "rows.json"
    assert importlib.import_module(name).main([*SHORT[name], "--json", str(rows)]) == 0, capsys.readouterr().out
    right = [row for row in json.loads(rows.read_text()) if row["name"].endswith("right result")]
    for kind in READ.get(name, [""]):
        assert sum(row["value"] for row in right if row["name"].startswith(kind)) > 0, f"no {kind} was right"
