"""Scenes that no real set holds, and what the model that we ship must make of them."""

from __future__ import annotations

import json
from types import ModuleType

import pytest
from conftest import REPOSITORY

MOST = {
    "lamp in an echelle, dots of 2.2 pixels": (0.01, 0.25),
    "planet, seen with 1.8 pixels": (0.01, 0.02),
    "spikes as of HST": (0.01, 0.01),
    "bright columns, 20 sigma": (0.05, 0.01),
    "bright columns, 20 sigma, in pairs": (0.01, 0.01),
    "noise of rows, 2 sigma": (0.01, 0.02),
}
"""Share of each that may be flagged by the part for any camera, and by that for HST."""


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import odd_scenes

    return odd_scenes


@pytest.mark.slow
def test_the_shipped_model_leaves_odd_things_alone_and_finds_cosmic_rays_on_them(
    scenes: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = tmp_path_factory.mktemp("odd") / "rows.json"
    monkeypatch.setattr(scenes, "SCENES", {name: scenes.SCENES[name] for name in MOST})
    monkeypatch.setattr("sys.argv", ["odd_scenes.py", "--json", str(rows)])
    scenes.main()
    found = {row["name"]: row["value"] for row in json.loads(rows.read_text())}
    for name, limits in MOST.items():
        for model, most in zip(("universal", "universal-hst"), limits, strict=True):
            assert found[f"{name}, flagged, {model}"] <= most, (name, model)
            assert found[f"{name}, found, {model}"] > 0.9, (name, model)
