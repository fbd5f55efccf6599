"""Labels from several exposures of a field: what they find, what they leave open, what they refuse."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import PLAIN, REAL_DATA, Result, write_hst
from numpy.typing import NDArray

from deepcr_lightning.exposures.truth import ChipTruth, read_truth
from deepcr_lightning.labels.__main__ import main
from deepcr_lightning.simulation import simulate_set

Run = Callable[..., Result]
ROWS = (12, 44, 27, 58, 35)
"""Of the cosmic ray of each exposure of a plain field."""
UVIS = REAL_DATA / "uvis_2013fy27"


@pytest.fixture(scope="module")
def dithered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two visits of three dithered exposures, and their labels in ``labels``."""
    folder = tmp_path_factory.mktemp("dithered") / "set"
    settings = {"size": (96, 128), "chips": 1, "fields": ["sparse", "cluster"], "seed": 3, "progress": False}
    simulate_set(folder, filters=["F606W"], exposures=6, darks=0, dithers=3, **settings)
    assert main([f"{folder}/science", f"{folder}/labels", "--quiet"]) == 0
    return folder


def chip_of(folder: Path, name: str, root: str) -> ChipTruth:
    return read_truth(folder / name / f"{root}_truth.fits")[1]


def scores(found: ChipTruth, true: ChipTruth) -> tuple[float, float]:
    """Purity and completeness over the pixels of which both know."""
    counted = true.counted() & ~found.ignore
    right = (found.cr & true.cr & counted).sum()
    return right / (found.cr & counted).sum(), right / (true.cr & counted).sum()


def edit(path: Path, change: Callable[[fits.HDUList], object]) -> None:
    with fits.open(path, mode="update") as hdus:
        change(hdus)


def copied(dithered: Path, folder: Path, count: int) -> list[Path]:
    """Copies of the first exposures of the second visit, a cluster."""
    files = sorted((dithered / "science").glob("isim02*"))[:count]
    folder.mkdir()
    return [Path(shutil.copy(path, folder)) for path in files]


def test_labels_are_pure_and_complete(dithered: Path) -> None:
    roots = [path.name.removesuffix("_truth.fits") for path in sorted((dithered / "labels").iterdir())]
    assert len(roots) == 6
    for root in roots:
        found, true = chip_of(dithered, "labels", root), chip_of(dithered, "truth", root)
        purity, completeness = scores(found, true)
        assert purity > 0.97
        assert completeness > 0.88
        assert found.ignore[true.ignore].all()
        assert found.ignore.mean() < true.ignore.mean() + 0.15
        bright = found.cr & ~found.ignore & (true.charge > 500)
        np.testing.assert_allclose(np.median(found.charge[bright] / true.charge[bright]), 1, atol=0.03)
        assert not found.charge[~found.cr].any()


def test_without_a_wcs_the_images_tell_the_shift(
    dithered: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    paths = copied(dithered, tmp_path / "science", 3)
    edit(paths[1], lambda hdus: hdus["SCI"].header.remove("CTYPE1"))
    assert main([str(tmp_path / "science"), str(tmp_path / "labels"), "--quiet"]) == 0
    assert "isim02a2q: aligned with isim02a1q by their images" in caplog.text
    root = "isim02a2q"
    purity, completeness = scores(chip_of(tmp_path, "labels", root), chip_of(dithered, "truth", root))
    assert purity > 0.95
    assert completeness > 0.8


def test_a_pointing_that_the_header_has_wrong_is_corrected(
    dithered: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    paths = copied(dithered, tmp_path / "science", 3)

    def move(hdus: fits.HDUList) -> None:
        hdus["SCI"].header["CRPIX1"] += 1.6

    edit(paths[2], move)
    assert main([str(tmp_path / "science"), str(tmp_path / "labels"), "--quiet"]) == 0
    assert "isim02a3q: shifted by" in caplog.text
    purity, _ = scores(chip_of(tmp_path, "labels", "isim02a1q"), chip_of(dithered, "truth", "isim02a1q"))
    assert purity > 0.95


def test_two_exposures_label_each_other_with_a_warning(
    dithered: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copied(dithered, tmp_path / "science", 2)
    assert main([str(tmp_path / "science"), str(tmp_path / "labels"), "--quiet"]) == 0
    assert "two exposures; a pixel that CRs hit in both gets no label" in caplog.text
    found, other = (chip_of(dithered, "truth", root) for root in ("isim02a1q", "isim02a2q"))
    purity, completeness = scores(chip_of(tmp_path, "labels", "isim02a1q"), found)
    assert purity > 0.9
    assert completeness > 0.8
    assert other.cr.any()


def plain_field(folder: Path, extra: Callable[[int], tuple[NDArray, NDArray]]) -> None:
    """Five undithered exposures of an empty field, each with charge of its own at given pixels."""
    rng = np.random.default_rng(4)
    for n in range(5):
        image = 30 + rng.normal(0, 5, (64, 80))
        place, charge = extra(n)
        image[tuple(place)] += charge
        cards = {"FILTER": "F606W", "EXPSTART": 58000 + 0.01 * n, "FIELDTYP": "empty"}
        write_hst(folder / f"ivis07a{n}q_flc.fits", [image], **cards)
        with fits.open(folder / f"ivis07a{n}q_flc.fits", mode="update") as hdus:
            shift = 3.0 * n
            pointing = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 5.0, "CD1_1": -1e-5}
            hdus["SCI"].header.update(pointing | {"CD2_2": 1e-5, "CRPIX1": 40.0 - shift, "CRPIX2": 32.0})


def test_what_moves_and_what_stays_on_the_detector_has_no_label(tmp_path: Path) -> None:
    def extra(n: int) -> tuple[NDArray, NDArray]:
        # A cosmic ray of each exposure, a warm pixel, and a source that crosses the sky at 4 pixels an exposure.
        return np.array([[ROWS[n], 50, 20], [60, 30, 20 + n]]), np.array([900.0, 300.0, 700.0])

    plain_field(tmp_path / "science", extra)
    assert main([str(tmp_path / "science"), str(tmp_path / "labels"), "--quiet"]) == 0
    for n in range(5):
        found = chip_of(tmp_path, "labels", f"ivis07a{n}q")
        assert found.cr[ROWS[n], 60]
        assert not found.ignore[ROWS[n], 60]
        assert found.ignore[50, 30]
        assert found.ignore[20, 20 + n]
        assert not found.cr[20, 20 + n]
    assert fits.getheader(tmp_path / "labels" / "ivis07a0q_truth.fits")["FIELDTYP"] == "empty"


class TestGroups:
    @pytest.fixture
    def field(self, tmp_path: Path) -> Path:
        plain_field(tmp_path / "science", lambda n: (np.array([[ROWS[n]], [60]]), np.array([900.0])))
        return tmp_path

    def label(self, folder: Path, *options: str) -> int:
        return main([str(folder / "science"), str(folder / "labels"), "--quiet", *options])

    def test_a_table_says_what_belongs_together(self, field: Path, caplog: pytest.LogCaptureFixture) -> None:
        table = field / "groups.txt"
        table.write_text("# file group\nivis07a0q_flc.fits a\nivis07a1q, a\nivis07a2q a\nivis07a3q b\n")
        assert self.label(field, "--groups", str(table)) == 0
        assert "ivis07a3q_flc.fits: the only exposure of its group (b)" in caplog.text
        made = sorted(path.name for path in (field / "labels").iterdir())
        assert made == [f"ivis07a{n}q_truth.fits" for n in range(3)]

    def test_what_does_not_go_together_is_refused(self, field: Path, capsys: pytest.CaptureFixture[str]) -> None:
        table = field / "groups.txt"
        table.write_text("".join(f"ivis07a{n}q a\n" for n in range(3)))
        edit(field / "science" / "ivis07a1q_flc.fits", lambda hdus: hdus[0].header.set("FILTER", "F336W"))
        assert self.label(field, "--groups", str(table)) == 1
        assert "group a: of F336W WFC3 UVIS 1x1 and F606W" in capsys.readouterr().err
        table.write_text("ivis07a0q\n")
        assert self.label(field, "--groups", str(table)) == 1
        assert "groups.txt, line 1: 1 columns" in capsys.readouterr().err
        table.write_text("ivis07a0q a\n")
        assert self.label(field, "--groups", str(table)) == 1
        assert "no two of these exposures" in capsys.readouterr().err

    def test_fields_that_do_not_overlap_are_refused(self, field: Path, capsys: pytest.CaptureFixture[str]) -> None:
        edit(field / "science" / "ivis07a2q_flc.fits", lambda hdus: hdus["SCI"].header.set("CRVAL2", 6.0))
        assert self.label(field) == 1
        assert "ivis07a2q_flc.fits[SCI,1]: overlaps no other exposure of its group" in capsys.readouterr().err
        assert not (field / "labels").exists()

    def test_exposure_times_are_scaled(self, field: Path, caplog: pytest.LogCaptureFixture) -> None:
        for n, seconds in enumerate((500.0, 1000.0)):
            edit(field / "science" / f"ivis07a{n}q_flc.fits", lambda hdus, s=seconds: hdus[0].header.set("EXPTIME", s))
        assert self.label(field) == 0
        found = chip_of(field, "labels", "ivis07a0q")
        assert found.cr[ROWS[0], 60]
        assert found.cr.sum() < 20

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["saturation=5"], "every pixel is unusable"),
            (["--saturation", "5"], "every pixel is unusable"),
            (["trim=true"], "has no DATASEC, TRIMSEC or BIASSEC to trim by"),
            (["trim=perhaps"], "trim=perhaps: must be true or false"),
            (["extensions=SCI,9"], "extension 9 is not there"),
            (["--extensions=DQ"], "DQ,1]: BUNIT is missing"),
            (["gain=much"], "gain=much: must be a positive number"),
            (["units=Jy"], "units=Jy: not a known unit"),
            (["exposure_time=0"], "exposure_time=0: must be a positive number"),
        ],
    )
    def test_files_are_read_as_the_user_says(
        self, field: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
    ) -> None:
        assert self.label(field, *options) == 1
        assert message in capsys.readouterr().err
        assert not (field / "labels").exists()

    def test_units_that_the_user_says_count(self, field: Path) -> None:
        assert self.label(field) == 0
        known = chip_of(field, "labels", "ivis07a0q").charge
        assert self.label(field, "units=counts", "gain=2", "trim=false", "extensions=SCI") == 0
        found = chip_of(field, "labels", "ivis07a0q").charge
        assert found is not None
        assert known is not None
        assert found[ROWS[0], 60] == pytest.approx(2 * known[ROWS[0], 60], rel=0.02)

    def test_home_is_home(self, field: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(field))
        monkeypatch.chdir(field)
        (field / "groups.txt").write_text("ivis07a0q a\nivis07a1q a\n")
        assert main(["~/science", "~/labels", "--quiet", "--groups=~/groups.txt"]) == 0
        assert len(list((field / "labels").iterdir())) == 2
        assert not (field / "~").exists()


def test_training_needs_neither_truth_nor_darks(dithered: Path, run_script: Run, tmp_path: Path) -> None:
    options = ["experiment=multi_exposure", f"data.science={dithered}/science", *PLAIN]
    options += ["data.tiles_per_epoch=16", "data.val_tiles=8", "trainer.max_epochs=1"]
    result = run_script("train.py", *options, "hydra.run.dir=run")
    assert result.status == 0, result.err
    stored = list((tmp_path / "outputs" / "tiles").glob("labels-*"))
    assert len(stored) == 1
    made = {path.name: path.stat().st_mtime_ns for path in stored[0].iterdir()}
    assert len(made) == 6
    # A second run finds its labels and its tiles; the checkpoint cleans like any other.
    again = run_script("train.py", *options, "hydra.run.dir=again")
    assert again.status == 0, again.err
    assert {path.name: path.stat().st_mtime_ns for path in stored[0].iterdir()} == made
    clean = f"input={dithered}/science/isim01a1q_flc.fits"
    done = run_script("predict.py", "ckpt_path=run/checkpoints/best.ckpt", clean, "output_dir=out")
    assert done.status == 0, done.err
    assert (tmp_path / "out" / "isim01a1q_crmask.fits").exists()


def test_real_exposures_are_labelled_as_their_truth_says(tmp_path: Path) -> None:
    if not UVIS.exists():
        pytest.skip("the real exposures are not beside this checkout")
    roots = ("idsj02axq", "idsj02ayq", "idsj02azq", "idsj02b0q")
    files = [str(UVIS / "science" / f"{root}_flc.fits") for root in roots]
    assert main([*files, str(tmp_path), "--quiet"]) == 0
    for root in roots:
        purity, completeness = scores(
            read_truth(tmp_path / f"{root}_truth.fits")[1], read_truth(UVIS / "truth" / f"{root}_truth.fits")[1]
        )
        assert purity > 0.97
        assert completeness > 0.9
