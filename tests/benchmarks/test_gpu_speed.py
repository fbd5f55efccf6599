"""The benchmark of a GPU, tried out on the CPU at small size: what it measures runs before a GPU is at hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY


def test_it_runs_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import gpu_speed

    command = ["gpu_speed.py", "--device", "cpu", "--small", "--json", str(tmp_path / "rows.json")]
    monkeypatch.setattr(sys, "argv", [*command, "--parts", "masks", "precision"])
    gpu_speed.main()
    rows = {row["name"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert rows["a chip, arrays to masks"]["value"] > 0
    assert rows["small images, arrays to masks"]["peer_value"] == 300
    assert rows["mask, as prediction does it"]["value"] == 0, "a CPU has no TF32"

    def lacking(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'deepCR'", name="deepCR")

    monkeypatch.setitem(gpu_speed.PARTS, "deepcr", lacking)
    monkeypatch.setattr(sys, "argv", [*command, "--parts", "deepcr", "precision"])
    gpu_speed.main()
    assert "deepcr: left out, it needs the package deepCR" in capsys.readouterr().out
