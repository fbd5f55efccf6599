"""The benchmark on real images, and what the model that we ship must reach on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from conftest import REAL_DATA, REPOSITORY, write_hst, write_truth
from numpy.typing import NDArray
from skies import SKY, add_cosmic_rays, scene

from deepcr_lightning.exposures.sky import sky_and_noise

LEAST = {
    "mean, sets with truth": {"average_precision": 0.987, "f1": 0.94, "purity": 0.95},
    "decam_sfft": {"average_precision": 0.998},
    "hsc_crs": {"average_precision": 0.999},
    "hst_pluto": {"average_precision": 0.998, "purity": 0.99},
    "kast_ucsc": {"average_precision": 0.97},
    "sbig_agsq": {"average_precision": 0.965},
    "tr_m13_blue": {"average_precision": 0.999},
    "tr_stargate": {"average_precision": 0.995},
    "tr_wfpc2_f336w": {"average_precision": 0.976},
    "wfpc2_f336w": {"average_precision": 0.996, "completeness": 0.985, "purity": 0.95},
    "uvis_2013fy27": {"average_precision": 0.9993, "completeness": 0.965, "purity": 0.998},
}
"""Floors: scores of the model that we ship less a small margin."""
MOST = {
    "mean, sets with truth": {"calibration_error_likely": 0.042, "strict_calibration_error_likely": 0.055},
    "mean, controls and transplants": {"flagged": 0.0009, "stars": 0.003},
    "m13_blue": {"flagged": 0.0002},
}
"""Ceilings in the same way."""

Sky = SimpleNamespace


@pytest.fixture
def sky(monkeypatch: pytest.MonkeyPatch) -> Sky:
    """The files of the benchmark."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import real_sky
    import real_sky_changes
    import real_sky_methods
    import real_sky_scores
    import real_sky_sets
    import real_sky_sheets
    import star_peaks

    return Sky(
        table=real_sky,
        changes=real_sky_changes,
        methods=real_sky_methods,
        scores=real_sky_scores,
        sets=real_sky_sets,
        sheets=real_sky_sheets,
        stars=star_peaks,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two sets with CRs, of which one has a control beside them, a set of a control alone, and one without truth."""
    rng = np.random.default_rng(3)
    for name, kind in (("one/a", "multi"), ("one/b", "control"), ("two/c", "transplant"), ("three/d", "control")):
        image = scene((64, 96), rng, stars=5)
        mask = np.zeros(image.shape, bool) if kind == "control" else add_cosmic_rays(image, rng, 12)
        write_hst(tmp_path / "real" / f"{name}_flt.fits", [image], INSTRUME="CAMERA", KIND=kind)
        write_truth(tmp_path / "real" / f"{name}_truth.fits", mask)
    write_hst(tmp_path / "real" / "four" / "e_flt.fits", [image], INSTRUME="CAMERA", KIND="multi")
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(not (REAL_DATA / "real").is_dir(), reason=f"no real images at {REAL_DATA / 'real'}")
def test_the_shipped_model_on_real_images(sky: Sky) -> None:
    scores = sky.scores.score_sets(sky.methods.open_method("universal", REAL_DATA), sky.sets.read_sets(REAL_DATA))
    below = [
        f"{measure} of {name}: {scores[name][measure].value:.4f}, the floor is {floor}"
        for name, floors in LEAST.items()
        for measure, floor in floors.items()
        if not scores[name][measure].value >= floor
    ]
    above = [
        f"{measure} of {name}: {scores[name][measure].value:.4f}, the ceiling is {ceiling}"
        for name, ceilings in MOST.items()
        for measure, ceiling in ceilings.items()
        if not scores[name][measure].value <= ceiling
    ]
    assert below + above == []


def test_stars_are_found_and_nothing_else(sky: Sky) -> None:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:200, :200]

    def blob(row: float, column: float, fwhm: float, peak: float) -> NDArray:
        return peak * np.exp(-4 * np.log(2) * ((y - row) ** 2 + (x - column) ** 2) / fwhm**2)

    stars = [(30, 40, 1.8), (30, 46, 1.8), (60, 150, 3.0), (120, 60, 6.0), (170, 20, 2.5)]
    near_a_cr, not_known = (150, 100, 2.0), (180, 180, 2.0)
    expected = np.full(y.shape, SKY) + blob(90, 150, 80, 800)  # a nebula
    for row, column, fwhm in (*stars, near_a_cr, not_known):
        expected += blob(row, column, fwhm, 1000)
    expected[100, :] += 1500  # a trace
    image = rng.poisson(expected) + rng.normal(0, 3, y.shape)
    image[20, 100] += 3000  # a hot pixel
    cr, ignore = np.zeros(y.shape, bool), np.hypot(y - 180, x - 180) < 3
    cr[152, 98:101] = cr[70, 20:26] = True
    image[cr] += 2000
    rows, columns = sky.stars.star_peaks(image.astype(np.float32), cr, ignore)
    found = sorted((row, column) for row, column, _ in stars)
    assert len(rows) == len(found)
    for (row, column), *place in zip(found, rows, columns, strict=True):
        assert np.hypot(row - place[0], column - place[1]) <= 1.5


def test_scores_of_known_maps(sky: Sky, data: Path) -> None:
    sets = sky.sets.read_sets(data)

    def truth(exposure: object, rim: float = 0.0, stars: float = 0.0) -> list[NDArray]:
        (picture,) = (p for pictures in sets.values() for p in pictures if p.exposure is exposure)
        known = picture.truth[1]
        made = np.where(known.cr, 0.9, np.where(known.counted(), 0.0, rim)).astype(np.float32)
        made[*picture.stars[0]] += stars
        return [made]

    exact = sky.scores.score_sets([sky.methods.Method(truth, 0.5)], sets)
    assert list(exact) == ["one", "three", "two", sky.scores.MEAN, sky.scores.CONTROLS]
    for name in ("one", "two", sky.scores.MEAN):
        values = {measure: value.value for measure, value in exact[name].items()}
        for strict in ("", "strict_"):
            assert values.pop(f"{strict}calibration_error_likely") == pytest.approx(0.1, abs=0.01)
        assert values.pop("flagged") == values.pop("stars") == 0
        assert set(values.values()) == {1.0}
    assert np.isnan(exact["three"]["average_precision"].value)
    assert exact["three"]["flagged"].value == 0
    generous = sky.scores.score_sets([sky.methods.Method(lambda e: truth(e, rim=0.95), 0.5)], sets)["one"]
    assert generous["average_precision"].value == generous["purity"].value == 1
    assert generous["strict_average_precision"].value < 0.5
    assert generous["calibration_error_likely"].value == pytest.approx(0.1, abs=0.01)
    assert generous["strict_calibration_error_likely"].value > 0.3
    starry = sky.scores.score_sets([sky.methods.Method(lambda e: truth(e, stars=0.8), 0.5)], sets)
    picture = sets["two"][0]
    stars, crs = picture.stars[0].shape[1], picture.truth[1].cr.sum()
    assert stars > 0
    assert starry["two"]["stars"].value == starry["three"]["stars"].value == 1
    assert starry["two"]["purity"].value == pytest.approx(crs / (crs + stars))
    assert starry["one"]["stars"].value == 1  # of its control, too, whose pixels count nowhere else
    (own, _) = (p.stars[0].shape[1] for p in sets["one"])
    crs = sets["one"][0].truth[1].cr.sum()
    assert starry["one"]["purity"].value == pytest.approx(crs / (crs + own))


def test_the_best_setting_is_that_of_each_set(sky: Sky, data: Path) -> None:
    sets = sky.sets.read_sets(data)

    def only(name: str, other: float) -> object:
        files = [picture.exposure.root for picture in sets[name]]

        def find(exposure: object) -> list[NDArray]:
            (picture,) = (p for pictures in sets.values() for p in pictures if p.exposure is exposure)
            right = picture.truth[1].cr.astype(np.float32)
            wrong = np.zeros_like(right)
            wrong[:: int(1 / other)] = 1
            return [right if exposure.root in files else np.maximum(right, wrong)]

        return sky.methods.Method(find, 0.5, graded=False)

    scores = sky.scores.score_sets([only("one", 0.02), only("two", 0.5)], sets)
    assert scores["one"]["f1"].value == scores["two"]["f1"].value == 1
    assert 0 < scores["three"]["flagged"].value < 0.1  # of the setting that is better over both
    assert np.isnan(scores["one"]["average_precision"].value)  # masks have none


def test_the_table_and_what_is_left_out(
    sky: Sky, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = data / "scores.json"
    arguments = [
        "real_sky.py",
        "universal",
        "lacosmic",
        f"--data={data}",
        f"--json={out}",
        f"--sheets={data / 'sheets'}",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    sky.table.main()
    printed = capsys.readouterr()
    assert "Left out of four: e_flt.fits has no e_truth.fits beside it" in printed.err
    lines = [line.split("|") for line in printed.out.splitlines() if line.startswith("|")]
    names = [line[1].strip() for line in lines]
    assert names.count("one") == names.count("two") == names.count("three") == 3  # the peer is scored, too
    assert "four" not in names
    assert names[-3:] == ["universal", "lacosmic", "ACS-WFC"]
    rows = {row["name"]: row for row in json.loads(out.read_text())}
    row = rows["average_precision, one, universal"]
    assert row["value"] > 0.1  # the fixture jumps from pixel to pixel, and the model takes single ones for hot pixels
    assert row["peer"] == "deepCR ACS-WFC"
    assert row["ratio"] == pytest.approx(row["value"] / row["peer_value"])
    assert "average_precision, three, universal" not in rows
    assert "average_precision, one, lacosmic" not in rows
    assert "f1, one, lacosmic" in rows
    for options, message in (
        ([f"--data={data / 'none'}"], "has neither real/SET/NAME_flt.fits"),
        ([f"--data={data}", "--sets", "ten"], "--sets ten: not in .*; there are four, one, three, two"),
        ([f"--data={data}", "nosuchmodel"], "nosuchmodel: no such file"),
    ):
        monkeypatch.setattr(sys, "argv", ["real_sky.py", *options])
        with pytest.raises(SystemExit, match=message):
            sky.table.main()


def test_sheets_show_the_worst(sky: Sky, data: Path) -> None:
    pictures = sky.sets.read_sets(data)["two"]
    truth = pictures[0].truth[1]
    map_ = truth.cr.astype(np.float32)
    free = truth.counted() & ~truth.cr
    y, x = next((y, x) for y in range(40, 60) for x in range(70, 90) if free[y - 1 : y + 2, x - 1 : x + 2].all())
    map_[y - 1 : y + 2, x - 1 : x + 2] = 0.9
    map_[tuple(np.argwhere(free[:20])[0])] = 0.8
    row, column = np.argwhere(truth.cr)[0]
    map_[row, column] = 0
    false = sky.sheets.worst(pictures, [[map_]], 0.5, false=True)
    assert abs(false[0].y - y) <= 1
    assert abs(false[0].x - x) <= 1
    assert len(false) == 2
    (missed,) = sky.sheets.worst(pictures, [[map_]], 0.5, false=False)
    assert (missed.y, missed.x) == (row, column)
    draw = sky.sheets.sheets_of(data / "sheets", "model")
    draw("two", pictures, [[map_]], 0.5)
    assert (data / "sheets" / "model_two.png").stat().st_size > 10_000
    draw("right", pictures, [[truth.cr.astype(np.float32)]], 0.5)
    assert not (data / "sheets" / "model_right.png").exists()


def test_truth_of_another_shape_is_named(sky: Sky, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_truth(data / "real" / "two" / "c_truth.fits", np.zeros((10, 10), bool))
    (data / "real" / "three" / "d_truth.fits").write_bytes(fits.PrimaryHDU().header.tostring().encode())
    sets = sky.sets.read_sets(data)
    assert list(sets) == ["one"]
    told = capsys.readouterr().err
    assert "Left out of two" in told
    assert "CRTRUTH,1 has 10 x 10 pixels" in told
    assert "Left out of three" in told


def test_images_are_changed_with_their_truth(sky: Sky, data: Path) -> None:
    plain = sky.sets.read_sets(data, ["one"])["one"][0]
    added = sky.sets.read_sets(data, ["one"], sky.changes.binned((2, 3)))["one"][0]
    chip, truth = plain.exposure.chips[0], plain.truth[1]
    sums = chip.electrons.reshape(32, 2, 32, 3).sum((1, 3))
    np.testing.assert_allclose(added.exposure.chips[0].electrons, sums, rtol=1e-5)
    np.testing.assert_array_equal(added.truth[1].cr, truth.cr.reshape(32, 2, 32, 3).any((1, 3)))
    moved = sky.sets.read_sets(data, ["one"], sky.changes.shifted((0.0, 0.5)))["one"][0]
    halves = (chip.electrons[:, 1:] + chip.electrons[:, :-1]) / 2
    np.testing.assert_allclose(moved.exposure.chips[0].electrons[:, 1:], halves, rtol=1e-4, atol=0.01)
    either = truth.cr[:, 1:] | truth.cr[:, :-1]
    np.testing.assert_array_equal(moved.truth[1].cr[:, 1:], either)  # half of its value is enough
    moved = sky.sets.read_sets(data, ["one"], sky.changes.shifted((0.5, 0.5)))["one"][0].truth[1]
    assert not (moved.cr & moved.ignore).any()
    assert (moved.cr | moved.ignore)[1:, 1:][truth.cr[1:, 1:]].all()
    scaled = sky.sets.read_sets(data, ["one"], sky.changes.scaled(0.25))["one"][0]
    np.testing.assert_allclose(scaled.exposure.chips[0].electrons, chip.electrons / 4, rtol=1e-6)
    np.testing.assert_array_equal(scaled.truth[1].cr, truth.cr)
    noisier = sky.sets.read_sets(data, ["one"], sky.changes.noisier(2.0))["one"][0].exposure.chips[0].electrons
    half = chip.electrons.shape[1] // 2
    np.testing.assert_array_equal(noisier[:, :half], chip.electrons[:, :half])
    noise = sky_and_noise(chip.electrons[:, half:])[1]
    assert sky_and_noise(noisier[:, half:])[1] == pytest.approx(2 * noise, rel=0.1)


def test_networks_are_told_more_noise(sky: Sky, data: Path) -> None:
    exposure = sky.sets.read_sets(data, ["one"])["one"][0].exposure
    counts = [
        (sky.methods.open_method("universal", data, noise)[0].find(exposure)[0] > 0.5).sum() for noise in (1, 2, 1e4)
    ]
    assert counts[0] > counts[1] > counts[2] == 0


@pytest.mark.slow
@pytest.mark.skipif(not (REAL_DATA / "real").is_dir(), reason=f"no real images at {REAL_DATA / 'real'}")
def test_the_shipped_model_where_one_half_is_noisier(sky: Sky) -> None:
    sets = sky.sets.read_sets(REAL_DATA, None, sky.changes.noisier(1.6))
    scores = sky.scores.score_sets(sky.methods.open_method("universal", REAL_DATA), sets)[sky.scores.MEAN]
    assert scores["average_precision"].value > 0.972
    assert scores["purity"].value > 0.95
    assert scores["f1"].value > 0.915
