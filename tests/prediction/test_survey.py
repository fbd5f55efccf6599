"""Survey runs: inputs from anywhere, several processes, restarts, the summary and the contact sheet."""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import ON_CPU, Result, write_hst
from upath import UPath

from deepcr_lightning.atomic import remove_partials
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.prediction.summary import CLEANED, Row, Summary
from deepcr_lightning.prediction.writer import ProductWriter

Run = Callable[..., Result]


def arguments(trained: Path, source: object, *overrides: str) -> list[str]:
    return [f"ckpt_path={trained}/checkpoints/best.ckpt", f"input={source}", *ON_CPU, *overrides]


def predict(run_script: Run, trained: Path, source: object, *overrides: str) -> Result:
    checkpoint = f"ckpt_path={trained}/checkpoints/best.ckpt"
    return run_script("predict.py", checkpoint, f"input={source}", "output_dir=out", *ON_CPU, *overrides)


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["file"] for row in rows}) == len(rows), "one row a file"
    return {Path(row["file"]).name: row for row in rows}


def test_inputs_by_list(survey: Path, tmp_path: Path) -> None:
    names = sorted((survey / "science").iterdir())
    (tmp_path / "list.txt").write_text(f"# two and a glob\n{names[0]}\n\nfile://{names[1]}\n{survey}/science/ivis03*\n")
    assert list(find_exposures("input", tmp_path / "list.txt")) == [*names[:2], *names[4:]]
    (tmp_path / "list.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="lists no files"):
        find_exposures("input", tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("gone.fits\n")
    with pytest.raises(InputError, match=r"list\.txt, line=gone\.fits: no such file"):
        find_exposures("input", tmp_path / "list.txt")


def test_inputs_by_address(survey: Path, trained: Path, run_script: Run, tmp_path: Path) -> None:
    bucket = UPath("memory://hst/public")
    for path in sorted((survey / "science").iterdir()):
        place = bucket / path.name[:6] / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    assert len(find_exposures("input", "memory://hst/public/ivis0[12]/*_flc.fits")) == 4
    assert predict(run_script, trained, survey / "science", "hydra.run.dir=a").status == 0
    (tmp_path / "out").rename(tmp_path / "local")
    result = predict(run_script, trained, "memory://hst/public", "products=[mask,dq_copy,clean]")
    assert result.status == 0, result.err
    for path in (survey / "science").iterdir():
        root = path.name.removesuffix("_flc.fits")
        ours = tmp_path / "out" / path.name[:6]
        np.testing.assert_array_equal(
            fits.getdata(ours / f"{root}_crmask.fits"), fits.getdata(tmp_path / "local" / f"{root}_crmask.fits")
        )
        assert (ours / path.name).exists()
    result = predict(run_script, trained, "memory://hst/nowhere")
    assert result.status == 1
    assert "input=memory://hst/nowhere: no such file" in result.err
    result = predict(run_script, trained, "nonsense://hst")
    assert result.status == 1
    assert "nonsense://hst: not an address of a known kind" in result.err


def test_the_summary_has_a_row_for_each(survey: Path, trained: Path, run_script: Run, tmp_path: Path) -> None:
    shutil.copytree(survey / "science", tmp_path / "in")
    (tmp_path / "in" / "broken_flc.fits").write_text("nothing")
    assert predict(run_script, trained, tmp_path / "in", "threshold=0.3").status == 1
    rows = table(tmp_path / "out")
    assert len(rows) == 7
    assert "cannot be read" in rows["broken_flc.fits"]["status"]
    assert rows["broken_flc.fits"]["flagged"] == ""
    row = rows["ivis01a0q_flc.fits"]
    with fits.open(tmp_path / "out" / "ivis01a0q_crmask.fits") as hdus:
        assert float(row["flagged"]) == pytest.approx(hdus["CRMASK"].data.mean(), abs=1e-5)
    assert (row["status"], row["filter"], float(row["threshold"])) == (CLEANED, "F336W", 0.3)
    assert float(row["expected"]) > 0
    assert float(row["seconds"]) > 0
    shutil.copy(survey / "science" / "ivis01a0q_flc.fits", tmp_path / "in" / "broken_flc.fits")
    assert predict(run_script, trained, tmp_path / "in", "threshold=0.3").status == 0
    assert table(tmp_path / "out")["broken_flc.fits"]["status"] == CLEANED, "the row of the failure is replaced"


@pytest.mark.parametrize("product", ["mask", "dq_copy", "clean"])
def test_odd_exposures_are_shown(survey: Path, trained: Path, run_script: Run, tmp_path: Path, product: str) -> None:
    shutil.copytree(survey / "science", tmp_path / "in")
    settings = ("threshold=1e-4", f"products=[{product}]")
    result = predict(run_script, trained, tmp_path / "in", *settings)
    assert result.status == 0, result.err
    sheet = tmp_path / "out" / "odd_exposures.png"
    assert "have a flagged share far from the expected one" in result.out
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_rows_survive_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    summary = Summary(tmp_path)
    for n in range(6):
        summary.add(Row(f"{n}.fits", CLEANED, "F336W", 500.0, 550.0, 0.01 * (1 + (n == 5) * 9)))
    summary.add(Row("0.fits", CLEANED, "F814W", 500.0, 550.0, 0.01))
    with summary.path.open("a") as file:
        file.write("6.fits,cleaned,F3")
    Summary(tmp_path).add(Row("7.fits", "cannot be read"))
    with summary.path.open("a") as file:
        file.write('8.fits,"a quote, not clo')
    Summary(tmp_path).add(Row("9.fits", "a reason\nof two lines"))
    rows = Summary(tmp_path).tidy()
    assert [row.file for row in rows] == [f"{n}.fits" for n in (*range(6), 7, 9)]
    assert rows[-1].status == "a reason of two lines"
    rows = rows[:6]
    assert rows[0].filter == "F814W", "the last row of a file counts"
    assert {round(row.expected, 9) for row in rows} == {0.01}, "the median of the run where the network knows none"
    assert [row.oddity > 2 for row in rows] == [False] * 5 + [True]
    assert all(row.expected != row.expected for row in Summary(tmp_path).rows()), "what is no knowledge is not kept"


def test_a_row_does_not_wait_for_the_next_exposure(
    survey: Path, trained: Path, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed keeps its products, so that it must have told of them."""
    monkeypatch.setattr(ProductWriter, "_collect", lambda *_: None)
    assert predict(run_script, trained, survey / "science").status == 0
    assert len(table(tmp_path / "out")) == 6


def test_growing_a_mask_makes_no_exposure_odd(survey: Path, trained: Path, run_script: Run, tmp_path: Path) -> None:
    shares = {}
    for grow in (0, 2):
        assert predict(run_script, trained, survey / "science", f"grow={grow}", "overwrite=true").status == 0
        shares[grow] = [row["flagged"] for row in table(tmp_path / "out").values()]
    assert shares[0] == shares[2]


def test_products_found_by_a_glob_are_not_cleaned_again(
    survey: Path, trained: Path, run_script: Run, tmp_path: Path
) -> None:
    shutil.copytree(survey / "science", tmp_path / "in" / "night")
    for _ in range(2):
        settings = ("products=[dq_copy]", "output_dir=in/out")
        checkpoint = f"ckpt_path={trained}/checkpoints/best.ckpt"
        result = run_script("predict.py", checkpoint, "input='in/**/*_flc.fits'", *settings, *ON_CPU)
        assert result.status == 0, result.err
    assert "6 exposures already had their products" in result.out


def test_products_of_another_threshold_are_named(survey: Path, trained: Path, run_script: Run, tmp_path: Path) -> None:
    source = survey / "science"
    assert predict(run_script, trained, source / "ivis01a0q_flc.fits", "threshold=0.123456789").status == 0
    result = predict(run_script, trained, source / "ivis01a0q_flc.fits", "threshold=0.123456789")
    assert "1 exposure already had its products" in result.out
    assert "another network" not in result.out, "the same again is nothing to say"
    result = predict(run_script, trained, source, "threshold=0.4", "grow=1")
    assert "1 of them was made with another network, threshold or growth, such as ivis01a0q_flc.fits" in result.out
    assert "threshold 0.123457, grow 0" in result.out
    assert predict(run_script, trained, source, "threshold=0.4", "grow=1", "overwrite=true").status == 0
    assert {row["threshold"] for row in table(tmp_path / "out").values()} == {"0.4"}
    assert "another network" not in predict(run_script, trained, source, "threshold=0.4", "grow=1").out


def test_places_that_are_no_local_directory_are_refused(survey: Path, trained: Path, run_script: Run) -> None:
    checkpoint = f"ckpt_path={trained}/checkpoints/best.ckpt"
    result = run_script("predict.py", checkpoint, f"input={survey}/science", "output_dir=s3://a/b", *ON_CPU)
    assert result.status == 1
    assert "output_dir=s3://a/b: must be a local directory" in result.err


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_package_that_an_address_needs_is_named() -> None:
    with pytest.raises(InputError, match=r"s3fs.*pip install 'deepcr-lightning\[remote\]'"):
        find_exposures("input", "s3://bucket/key")


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "summary.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="was not written by this package"):
        Summary(tmp_path)


def test_half_written_files_of_the_dead_are_removed(tmp_path: Path) -> None:
    import platform

    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    names = {f".partial-{platform.node()}@{process}-x-a.fits" for process in (int(dead.stdout), os.getpid())}
    names.add(".partial-elsewhere-1-x-a.fits")
    for name in names:
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f".partial-{platform.node()}@{os.getpid()}-x-a.fits", ".partial-elsewhere-1-x-a.fits"}


def test_an_exposure_that_goes_away_is_named(trained: Path, run_script: Run, tmp_path: Path) -> None:
    from deepcr_lightning.prediction import reader

    rng = np.random.default_rng(0)
    for n in range(3):
        write_hst(tmp_path / "in" / f"ivis0{n}a0q_flc.fits", [rng.normal(30, 6, (40, 40))])
    original = reader.read_exposure

    def read(path: Path, settings: object, timed: bool) -> object:
        (tmp_path / "in" / "ivis02a0q_flc.fits").unlink(missing_ok=True)
        return original(path, settings, timed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "read_exposure", read)
        result = predict(run_script, trained, tmp_path / "in")
    assert result.status == 1
    assert "2 exposures cleaned" in result.out
    assert "ivis02a0q_flc.fits: no such file" in result.err


def test_names_stand_in_the_table_as_they_are(trained: Path, run_script: Run, tmp_path: Path) -> None:
    names = [f"{name}_flc.fits" for name in ("two  blanks", " first", 'a"b', "a,b", "no\u00a0break", "x" * 235)]
    for name in names:
        write_hst(tmp_path / "in" / name, [np.random.default_rng(1).normal(30, 6, (40, 40))], ROOTNAME="x")
    (tmp_path / "in" / "no  exposure.fits").write_text("no FITS")
    result = predict(run_script, trained, tmp_path / "in")
    assert f"{len(names)} exposures cleaned" in result.out
    assert result.status == 1
    assert "no  exposure.fits: cannot be read as FITS" in result.err
    assert set(table(tmp_path / "out")) == {*names, "no  exposure.fits"}
    (tmp_path / "in" / "no  exposure.fits").unlink()
    result = predict(run_script, trained, tmp_path / "in")
    assert result.status == 0
    assert f"{len(names)} exposures already had their products" in result.out
    assert "made with another" not in result.out
