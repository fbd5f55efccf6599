"""Folders as archives deliver them: each exposure once, and no tables."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import TINY, Result, predict, write_hst

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.paths import find_exposures

Run = Callable[..., Result]
IMAGE = np.random.default_rng(1).normal(30, 6, (40, 40))


def table(path: Path) -> Path:
    column = fits.Column("time", "D", array=np.arange(3.0))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column])]).writeto(path)
    return path


def delivery(folder: Path) -> Path:
    """Two exposures of one association, as the archive of HST delivers them; the second was not CTE-corrected."""
    folder.mkdir()
    products = {"ivis01a0q": ("flc", "flt", "raw"), "ivis01a1q": ("flt", "raw"), "ivis01010": ("drc",)}
    for root, suffixes in products.items():
        for suffix in suffixes:
            write_hst(folder / f"{root}_{suffix}.fits", [IMAGE], ROOTNAME=root)
    for name in ("ivis01010_asn", "ivis01a0q_spt", "ivis01a0q_jit", "stars"):
        table(folder / f"{name}.fits")
    return folder


def names(folder: str | Path) -> list[str]:
    return [path.name for path in find_exposures("input", folder)]


def test_the_best_of_each_exposure_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = delivery(tmp_path / "hst")
    assert names(folder) == ["ivis01a0q_flc.fits", "ivis01a1q_flt.fits"]
    assert names(f"{folder}/*") == ["ivis01a0q_flc.fits", "ivis01a1q_flt.fits"]
    told = [line for line in caplog.messages if "left out" in line]
    assert told[0].endswith(
        "2 of 10 FITS files are used as exposures; "
        "left out: 1 asn, 1 drc, 1 flt, 1 jit, 2 raw, 1 spt, 1 without a 2-D image"
    )
    assert names(folder / "ivis01a0q_raw.fits") == ["ivis01a0q_raw.fits"], "a file that is named is taken"
    assert names(f"{folder}/*_raw.fits") == ["ivis01a0q_raw.fits", "ivis01a1q_raw.fits"]
    for path in folder.glob("*_fl?.fits"):
        path.unlink()
    assert names(folder) == ["ivis01a0q_raw.fits", "ivis01a1q_raw.fits"]
    for path in folder.glob("*_raw.fits"):
        path.unlink()
    assert names(folder) == ["ivis01010_drc.fits"], "combined ones where there is nothing better"
    (folder / "ivis01010_drc.fits").unlink()
    with pytest.raises(InputError, match="no FITS files with an exposure there"):
        find_exposures("input", folder)


def test_files_of_other_telescopes_are_all_taken(tmp_path: Path) -> None:
    for name in ("frame_001.fits", "frame_001_flt.fits", "ivis01a0q_mine.fits"):
        write_hst(tmp_path / name, [IMAGE])
    (tmp_path / "broken.fits").write_text("no FITS")
    assert len(names(tmp_path)) == 4, "what cannot be read is named when its turn comes"


def test_linked_folders_are_searched_once(tmp_path: Path) -> None:
    write_hst(tmp_path / "far" / "frame.fits", [IMAGE])
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "one").symlink_to(tmp_path / "far", target_is_directory=True)
    (tmp_path / "near" / "two").symlink_to(tmp_path / "far", target_is_directory=True)
    (tmp_path / "far" / "back").symlink_to(tmp_path / "near", target_is_directory=True)
    found = find_exposures("input", tmp_path / "near")
    assert len(found) == 1
    assert str(next(iter(found.values()))) in (os.path.join("one", "frame.fits"), os.path.join("two", "frame.fits"))


def test_links_that_lead_nowhere_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_hst(tmp_path / "here.fits", [IMAGE])
    for name, target in (("gone.fits", "nowhere.fits"), ("loop.fits", "loop.fits"), ("also.fits", "here.fits")):
        (tmp_path / name).symlink_to(tmp_path / target)
    assert len(names(tmp_path)) == 1
    assert "2 broken links, such as " in caplog.messages[0]
    for name in ("gone.fits", "loop.fits"):
        with pytest.raises(InputError, match="no such file or directory"):
            find_exposures("input", tmp_path / name)


def test_a_readme_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("Exposures of M 31\n\nTaken in 2013.\n")
    with pytest.raises(InputError, match=r"README.txt: is not a list of exposures: its line 'Exposures of M 31'"):
        find_exposures("input", tmp_path / "README.txt")


def test_a_delivery_is_cleaned_without_failures(trained: Path, run_script: Run, tmp_path: Path) -> None:
    result = predict(run_script, trained, delivery(tmp_path / "hst"))
    assert result.status == 0, result.err
    assert "2 exposures cleaned" in result.out
    assert result.out.count("left out:") == 1
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2


def test_no_exposure_is_trained_on_three_times(survey: Path, run_script: Run, tmp_path: Path) -> None:
    for path in (survey / "science").iterdir():
        for suffix in ("flc", "flt", "raw"):
            (tmp_path / "hst").mkdir(exist_ok=True)
            (tmp_path / "hst" / path.name.replace("flc", suffix)).write_bytes(path.read_bytes())
    data = (f"data.science={tmp_path}/hst", f"data.darks={survey}/darks")
    result = run_script("train.py", *data, *TINY, "trainer.max_epochs=1", "~callbacks.figures", "hydra.run.dir=run")
    assert result.status == 0, result.err
    assert "6 of 18 FITS files are used" in result.out
    assert "36 tiles of 32 px" in result.out


def test_dq_copies_of_ours_are_no_further_exposures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for folder in ("a_masked", "raw", "visit2"):
        write_hst(tmp_path / folder / "ivis01a0q_flc.fits", [IMAGE])
    fits.setval(tmp_path / "a_masked" / "ivis01a0q_flc.fits", "DCRSOFT", value="deepcr-lightning")
    found = [str(path.relative_to(tmp_path)) for path in find_exposures("input", tmp_path)]
    assert found == ["raw/ivis01a0q_flc.fits", "visit2/ivis01a0q_flc.fits"]
    assert "left out: 1 DQ copy" in caplog.messages[0]
    assert names(tmp_path / "a_masked") == ["ivis01a0q_flc.fits"], "a folder of copies alone is meant"


def test_truth_beside_exposures_is_none(tmp_path: Path) -> None:
    for name in ("frame.fits", "frame_truth.fits", "frame2_truth.fits.gz"):
        write_hst(tmp_path / name, [IMAGE])
    assert names(tmp_path) == names(f"{tmp_path}/*.fits") == ["frame.fits"]
    assert names(tmp_path / "frame_truth.fits") == ["frame_truth.fits"], "a file that is named is taken"


def test_globs_in_folders_with_brackets(tmp_path: Path) -> None:
    for folder in ("M [31]", "[a]", "a*"):
        write_hst(tmp_path / folder / "x [1].fits", [IMAGE])
        write_hst(tmp_path / folder / "sub" / "y.fits", [IMAGE])
        assert names(f"{tmp_path}/{folder}/*.fits") == ["x [1].fits"]
        assert names(f"{tmp_path}/{folder}/x [[]1].fits") == ["x [1].fits"]
        assert names(f"{tmp_path}/{folder}/**/*.fits") == ["y.fits", "x [1].fits"]
    assert len(find_exposures("input", f"{tmp_path}/[[M]*/*.fits")) == 2, "what is not there is a pattern"


def test_lists_of_windows(tmp_path: Path) -> None:
    write_hst(tmp_path / "a.fits", [IMAGE])
    (tmp_path / "files.txt").write_bytes(f"\ufeff{tmp_path}/a.fits\r\n".encode())
    assert names(tmp_path / "files.txt") == ["a.fits"]
