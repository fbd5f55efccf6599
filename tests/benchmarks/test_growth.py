"""The quicker benchmarks of growth, at their smallest sizes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from conftest import REPOSITORY


@pytest.mark.parametrize(
    ("name", "size", "found"),
    [
        ("tiles", 1000, ["open", "set up", "card", "first batch", "a batch", "pixels", "table", "memory"]),
        ("listing", 1000, ["find", "summary, at the start", "products, at the start", "summary, at the end", "memory"]),
        ("chips", 512, ["array call, time", "predict, time", "array call, memory", "predict, memory"]),
    ],
)
def test_each_size_has_its_row_and_the_figure_is_drawn(
    name: str,
    size: int,
    found: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    for folder in ("", "reliability", "growth"):
        monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks" / folder))
    growth = importlib.import_module(name)
    if name == "tiles":
        monkeypatch.setattr(growth, "DARKS", 1)
    files = ["--figure", f"{tmp_path}/figure.png", "--json", f"{tmp_path}/rows.json"]
    growth.main(["--largest", str(size), *files])
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["name"].rpartition(", ")[0] for row in rows][: len(found)] == found
    assert all(row["value"] >= 0 for row in rows)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "against itself" in capsys.readouterr().out
