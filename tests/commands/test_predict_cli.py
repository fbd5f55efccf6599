"""predict.py: what it writes, keeps and refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import Result, last_line, predict, small_disk, write_hst

Run = Callable[..., Result]


def test_prediction_writes_every_product(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (survey / "science").iterdir()}
    settings = ["products=[mask,dq_copy,clean]", "save_probability=true", "threshold=0.01", "grow=1"]
    result = predict(run_script, trained, survey / "science", *settings)
    assert result.status == 0, result.err
    assert "6 exposures cleaned" in result.out
    assert {path: path.read_bytes() for path in before} == before
    for path in before:
        root = path.name.removesuffix("_flc.fits")
        with fits.open(tmp_path / "out" / f"{root}_crmask.fits") as hdus:
            mask = hdus["CRMASK", 1].data > 0
            above = hdus["CRPROB", 1].data > 0.01
            assert mask[above].all()
            assert hdus[0].header["DCRTHR"] == 0.01
            assert len(hdus[0].header["DCRSHA"]) == 64
            assert hdus[0].header["DCRPREC"] == "float32"
        with fits.open(tmp_path / "out" / path.name) as hdus:
            np.testing.assert_array_equal((hdus["DQ"].data & 8192) > 0, mask)
        with fits.open(tmp_path / "out" / f"{root}_crclean.fits") as hdus, fits.open(path) as original:
            np.testing.assert_array_equal(hdus["SCI"].data[~mask], original["SCI"].data[~mask])
    assert not list((tmp_path / "out").glob(".partial*"))


def test_headers_say_the_precision(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    source = survey / "science" / "ivis01a0q_flc.fits"
    products = "products=[mask,dq_copy,clean]"
    result = predict(run_script, trained, source, products, "trainer.precision=bf16-mixed")
    assert result.status == 0, result.err
    made = sorted((tmp_path / "out").glob("*.fits"))
    assert len(made) == 3
    assert [fits.getheader(path)["DCRPREC"] for path in made] == 3 * ["bfloat16"]


def test_products_that_exist_are_kept(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    source = survey / "science" / "ivis01a0q_flc.fits"
    first = predict(run_script, trained, source)
    assert first.status == 0, first.err
    mask = tmp_path / "out" / "ivis01a0q_crmask.fits"
    mask.write_text("mine")
    result = predict(run_script, trained, source)
    assert result.status == 0
    assert "already had its products" in result.out
    assert mask.read_text() == "mine"
    assert predict(run_script, trained, source, "overwrite=true").status == 0
    assert mask.read_bytes().startswith(b"SIMPLE")


def test_a_tree_keeps_its_shape_and_clashes_are_refused(
    trained: Path, survey: Path, run_script: Run, tmp_path: Path
) -> None:
    first = survey / "science" / "ivis01a0q_flc.fits"
    for visit in ("a", "b"):
        (tmp_path / "tree" / visit).mkdir(parents=True)
        shutil.copy(first, tmp_path / "tree" / visit)
    made = predict(run_script, trained, tmp_path / "tree")
    assert made.status == 0, made.err
    assert (tmp_path / "out" / "a" / "ivis01a0q_crmask.fits").exists()
    assert (tmp_path / "out" / "b" / "ivis01a0q_crmask.fits").exists()
    both = f"[{tmp_path}/tree/a,{tmp_path}/tree/b]"
    result = predict(run_script, trained, both, output="flat")
    assert result.status == 1
    assert "would both become" in last_line(result.err)
    result = predict(run_script, trained, tmp_path / "tree", "products=[dq_copy]", output=str(tmp_path / "tree"))
    assert result.status == 1
    assert "would overwrite an input" in last_line(result.err)


def test_bad_files_are_reported_and_the_rest_is_finished(
    trained: Path, survey: Path, run_script: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(survey / "science", folder)
    whole = (folder / "ivis01a0q_flc.fits").read_bytes()
    (folder / "ivis01a0q_flc.fits").write_bytes(whole[:20000])
    (folder / "notes.fits").write_text("not an image")
    write_hst(folder / "dead_flc.fits", [np.ones((40, 40))], [np.full((40, 40), 4)])
    result = predict(run_script, trained, folder)
    assert result.status == 1
    assert "5 exposures cleaned" in result.out
    assert "3 of 8 exposures were not cleaned" in result.err
    for name, reason in (
        ("ivis01a0q_flc.fits", "truncated"),
        ("notes.fits", "cannot be read"),
        ("dead_flc.fits", "every pixel is unusable"),
    ):
        assert any(name in line and reason in line for line in result.err.splitlines()), name
    assert "Traceback" not in result.err
    assert len(list((tmp_path / "out").glob("*_crmask.fits"))) == 5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["input=nowhere"], "input=nowhere: no such file"),
        (["ckpt_path=null"], "ckpt_path= is not given"),
        (["output_dir=null", "input=[{survey}/science,{survey}/darks]"], "the input lies in 2 folders; name"),
        (["threshold=1.5"], "threshold=1.5: give a number between 0 and 1, auto,"),
        (["threshold={{fpr: 2}}"], "threshold={fpr: 2}: give a number"),
        (["threshold=best"], "threshold=best: give a number"),
        (["grow=-1"], "grow=-1: must be 0 or more"),
        (["products=[masks]"], "choose from mask, dq_copy, clean"),
        (["dq_bit=3"], "dq_bit=3: must be a power of 2"),
        (["ckpt_path={survey}/darks/idrk01d1q_flt.fits"], "not a PyTorch checkpoint"),
    ],
)
def test_bad_prediction_input_is_one_line(
    trained: Path, survey: Path, run_script: Run, overrides: list[str], message: str
) -> None:
    result = predict(run_script, trained, survey / "science", *[text.format(survey=survey) for text in overrides])
    assert result.status == 1
    assert message in last_line(result.err)
    assert "Traceback" not in result.err


def test_unwritable_output_is_reported(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, not a directory")
    result = predict(run_script, trained, survey / "science" / "ivis01a0q_flc.fits")
    assert result.status == 1
    assert "cannot be written" in result.err
    assert "Traceback" not in result.err


def test_full_disk_is_reported_and_leaves_no_partial_file(
    trained: Path, survey: Path, run_script: Run, tmp_path: Path
) -> None:
    with small_disk(5000):
        result = predict(run_script, trained, survey / "science", "hydra.output_subdir=null")
    assert result.status == 1
    assert "6 of 6 exposures were not cleaned" in result.err
    assert "File too large" in result.err
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left - {".summary.csv.lock"} == {"summary.csv"}  # some versions of filelock leave theirs


def test_products_inside_the_input_are_not_searched(
    trained: Path, survey: Path, run_script: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(survey / "science", folder)
    for _ in range(2):
        result = predict(run_script, trained, folder, "products=[mask,dq_copy]", output=f"{folder}/clean")
        assert result.status == 0, result.err
    assert "0 exposures cleaned" in result.out
    assert len(list((folder / "clean").glob("*.fits"))) == 12


def test_a_filter_that_the_network_never_saw_is_said(
    trained: Path, run_script: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_hst(tmp_path / "in" / "ivis09a0q_flc.fits", [np.ones((64, 96))], FILTER="F225W")
    result = predict(run_script, trained, tmp_path / "in")
    assert result.status == 0
    assert "Filter F225W: the network was not trained on it" in result.out + caplog.text
