"""What the prior of the model that we ship gains and costs where cosmic rays are few."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import REPOSITORY


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, with fewer images."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import few_cosmic_rays

    monkeypatch.setattr(few_cosmic_rays, "IMAGES", 2)
    monkeypatch.setattr(few_cosmic_rays, "SECONDS", (0.0, 20.0))
    return few_cosmic_rays


def test_scenes_hold_what_they_say(few: ModuleType) -> None:
    first, second = few.scenes(20.0, 30)
    sky = few.SKY + few.READ_NOISE**2
    for scene in (first, second):
        assert scene.image.shape == scene.cr.shape == (few.SIDE, few.SIDE)
        rows, columns = scene.peaks
        assert rows.size == 30
        assert (scene.image[rows, columns] > few.SKY + 2 * np.sqrt(sky)).all()
        assert (scene.image[scene.cr] > few.SKY).all()
        assert 0 < scene.cr.mean() < 0.003
    assert not np.array_equal(first.image, second.image)
    (empty, _) = few.scenes(0.0, 0)
    assert not empty.cr.any()
    assert empty.image.std() == pytest.approx(np.sqrt(sky), rel=0.02)


@pytest.mark.slow
def test_stars_gain_more_than_cosmic_rays_lose(
    few: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["few_cosmic_rays.py", "--json", str(tmp_path / "rows.json")])
    few.main()
    rows = {row["name"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    for name, most in (("universal", 0.012), ("universal-hst", 0.012)):
        empty = rows[f"stars, {name}, 250 stars, 0 s"]
        assert empty["value"] <= min(most, 0.7 * empty["peer_value"])
        sky, stars = (rows[f"found, {name}, {number} stars, 20 s"] for number in (0, 250))
        assert sky["value"] > max(0.92, sky["peer_value"] - 0.06)
        assert stars["value"] > stars["peer_value"] - 0.12
