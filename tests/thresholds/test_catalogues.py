"""Catalogues that users made under each mask."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from conftest import Result
from numpy.typing import NDArray

Run = Callable[..., Result]


def write_dolphot(path: Path, places: NDArray, magnitude: NDArray, spoiled: str = "") -> None:
    """Write stars as DOLPHOT does: two filters, then an image of each."""
    names = ["Extension (zero for base image)", "Chip (for three-dimensional FITS image)"]
    names += ["Object X position on reference image (or first image, if no reference)"]
    names += ["Object Y position on reference image (or first image, if no reference)", "Chi for fit"]
    values = [np.zeros(len(places)), np.ones(len(places)), places[:, 1], places[:, 0], np.ones(len(places))]
    for source in ("WFC3_F475W", "WFC3_F814W", "a_flc (WFC3_F475W, 700.0 sec)", "b_flc (WFC3_F814W, 700.0 sec)"):
        names += [f"Instrumental VEGAMAG magnitude, {source}", f"Signal-to-noise, {source}"]
        names += [f"Sharpness, {source}", f"Crowding, {source}"]
        single = "flc" in source
        shown = np.full(len(places), 99.999) if single else magnitude + ("475" in source)
        values += [shown, np.full(len(places), 20.0), np.full(len(places), 0.05), np.full(len(places), 0.1)]
    names = [name for name in names if not spoiled or not name.startswith(spoiled)]
    np.savetxt(path, np.column_stack(values), fmt="%.3f")
    lines = [f"{number}. {name}" for number, name in enumerate(names, start=1)]
    path.with_name(path.name + ".columns").write_text("\n".join(lines) + "\n")


def test_catalogues_of_dolphot(tmp_path: Path, run_script: Run) -> None:
    rng = np.random.default_rng(11)
    places, magnitude = rng.uniform(0, 400, (300, 2)), rng.uniform(20, 25, 300)
    write_dolphot(tmp_path / "none.phot", places[:250], magnitude[:250])
    write_dolphot(tmp_path / "0.1.phot", places[50:], magnitude[50:])
    write_dolphot(tmp_path / "0.5.phot", places[5:], magnitude[5:])
    magnitude[7] = 99.999
    result = run_script("threshold.py", f"catalogues={tmp_path}", "box=[[0,19],[2,19],[2,26],[0,26]]", "output_dir=out")
    assert result.status == 0, result.err
    table, report = Table.read("out/threshold.ecsv"), json.loads(Path("out/threshold.json").read_text())
    assert (table.meta["legacy"], table["kept"].tolist()) == (250, [200, 245])
    assert (table["added"].tolist(), table["lost"].tolist()) == ([50, 50], [50, 5])
    assert report["recommended"]["threshold"] == 0.5
    assert report["filters"] == ["F475W", "F814W"]


def test_catalogues_in_tables_with_a_column_map(tmp_path: Path, run_script: Run) -> None:
    rng = np.random.default_rng(12)
    table = Table({"X": rng.uniform(0, 400, 90), "Y": rng.uniform(0, 400, 90), "M": rng.uniform(20, 25, 90)})
    table["SN"], table["SH"], table["CR"] = np.full(90, 9.0), np.zeros(90), np.full(90, 0.2)
    table[:80].write(tmp_path / "none.fits")
    table[10:].write(tmp_path / "0.2.ecsv")
    quantities = "{magnitude: M, signal_to_noise: SN, sharpness: SH, crowding: CR}"
    options = [f"catalogues={tmp_path}", "output_dir=out"]
    assert run_script("threshold.py", *options, f"columns={{x: X, y: Y, F814W: {quantities}}}").status == 0
    counted = Table.read("out/threshold.ecsv")
    assert [counted[name][0] for name in ("kept", "added", "lost")] == [70, 10, 10]
    lacking = run_script("threshold.py", *options, "columns={x: X, y: Y, F814W: {magnitude: M, sharpness: SH}}")
    assert lacking.status == 1
    assert "which column is the signal_to_noise, crowding of F814W" in lacking.err
    absent = run_script("threshold.py", *options, f"columns={{x: X, y: ROW, F814W: {quantities}}}")
    assert "none.fits: has no column ROW; it has X, Y, M" in absent.err
    assert "say which column is what" in run_script("threshold.py", *options).err


def test_catalogues_that_do_not_fit(tmp_path: Path, run_script: Run, caplog: pytest.LogCaptureFixture) -> None:
    option = f"catalogues={tmp_path}"
    assert "contains no none.phot" in run_script("threshold.py", option).err
    places = np.random.default_rng(13).uniform(0, 400, (40, 2))
    write_dolphot(tmp_path / "none.phot", places, np.full(40, 21.0))
    write_dolphot(tmp_path / "0.3.phot", places, np.full(40, 21.0))
    assert "no F336W; there is F475W, F814W" in run_script("threshold.py", option, "filters=[F336W]").err
    result = run_script("threshold.py", option, "box=[[0,19],[2,19],[2,26],[0,26]]")
    assert "The box holds 40 good stars" in result.out + caplog.text
    write_dolphot(tmp_path / "none.phot", places, np.full(40, 21.0), spoiled="Crowding")
    assert "has no column Crowding, WFC3_F475W" in run_script("threshold.py", option).err
    (tmp_path / "none.phot.columns").unlink()
    assert "none.phot.columns is missing" in run_script("threshold.py", option).err
