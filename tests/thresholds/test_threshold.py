from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from conftest import Result, write_hst, write_truth
from skies import READ_NOISE, SHAPE, add_cosmic_rays, grid_of_stars, sky_of

from deepcr_lightning.errors import InputError
from deepcr_lightning.photometry.star_lists import Stars, find_shift, join_filters
from deepcr_lightning.thresholds.fields import Seen, choose_filters, group_fields
from deepcr_lightning.thresholds.good_stars import Cuts, choose_cuts, good_stars
from deepcr_lightning.thresholds.recommend import recommend
from deepcr_lightning.thresholds.star_counts import Counts, chip_stars, count, in_box

Run = Callable[..., Result]


def write_field(folder: Path, exposures: int) -> None:
    """Write exposures of one field of 81 stars in two filters, with cosmic rays, and all that is true of them."""
    rng = np.random.default_rng(3)
    y, x = grid_of_stars(rng)
    flux = 10 ** rng.uniform(2.6, 4.2, 81)
    for n, (name, factor, zero) in enumerate((("F475W", 1.0, 25.68), ("F814W", 1.5, 25.10))):
        for m in range(exposures):
            image = sky_of(factor * flux, y, x, rng)
            hit = add_cosmic_rays(image, rng, 40)
            root = f"ivis01a{1 + n + 2 * m}q"
            write_hst(folder / "science" / f"{root}_flc.fits", [image], FILTER=name)
            write_truth(folder / "truth" / f"{root}_truth.fits", hit)
            magnitude = zero - 2.5 * np.log10(factor * flux / 500)
            (folder / "stars").mkdir(exist_ok=True)
            stars = Table({"extver": np.ones(81, int), "y": y, "x": x, "magnitude": magnitude})
            stars.write(folder / "stars" / f"{root}_stars.ecsv", format="ascii.ecsv")
    dark = rng.normal(2, READ_NOISE, SHAPE)
    add_cosmic_rays(dark, rng, 40)
    write_hst(folder / "darks" / "idrk01d1q_flt.fits", [dark], IMAGETYP="DARK", TARGNAME="DARK")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exposure in each of two filters."""
    folder = tmp_path_factory.mktemp("pair")
    write_field(folder, 1)
    return folder


def test_script_counts_stars_and_recommends(pair: Path, trained: Path, run_script: Run) -> None:
    box = "box=[[-2,15],[4,15],[4,30],[-2,30]]"
    options = [f"truth={pair}", "thresholds=[0.1,0.5,0.8]", "box_dithers=3", "workers=1", "output_dir=out", box]
    options.append(f"darks={pair}/darks")
    model = f"ckpt_path={trained}/checkpoints/best.ckpt"
    result = run_script("threshold.py", f"input={pair}/science", model, "keep_freed_memory=false", *options)
    assert result.status == 0, result.err
    assert "Recommended threshold" in result.out
    report, table = json.loads(Path("out/threshold.json").read_text()), Table.read("out/threshold.ecsv")
    assert report["filters"] == ["F475W", "F814W"]
    assert report["recommended"]["threshold"] in report["thresholds"] == [0.1, 0.5, 0.8]
    assert len(report["dithered_boxes"]) == 3
    assert report["total"]["legacy"] > 40
    for part in ("", "box_", "real_", "false_"):
        assert np.array_equal(table[f"{part}kept"] + table[f"{part}lost"], [table.meta[f"{part}legacy"]] * 3)
    # The box holds every magnitude and colour.
    assert np.array_equal(table["box_kept"], table["kept"])
    assert np.all(np.diff(table["masked_share"]) <= 0)
    assert table.meta["real_legacy"] > 0.7 * table.meta["legacy"]
    assert 0 < table.meta["cosmic_ray_legacy"] <= table.meta["false_legacy"]
    assert "against_classic" not in report, "one exposure in each filter has nothing to be compared with"
    assert Path("out/threshold.png").stat().st_size > 10_000
    assert Path("out/added_dark.png").stat().st_size > 10_000


def test_classic_rejection_is_compared_with_where_exposures_suffice(
    trained: Path, run_script: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_field(tmp_path, 3)
    options = ["thresholds=[0.5,0.9]", "workers=1", "output_dir=out", "keep_freed_memory=false", f"truth={tmp_path}"]
    model = f"ckpt_path={trained}/checkpoints/best.ckpt"
    result = run_script("threshold.py", f"input={tmp_path}/science", model, *options)
    assert result.status == 0, result.err
    assert "against classic rejection" in result.out
    report, table = json.loads(Path("out/threshold.json").read_text()), Table.read("out/threshold.ecsv")
    classic = report["classic_against_no_mask"]
    assert classic["legacy"] == report["total"]["legacy"]
    # Three exposures see what falls on one: stars that a cosmic ray had spoilt come back.
    assert classic["added"][0] > classic["lost"][0]
    assert table.meta["against_classic_legacy"] == classic["legacy"] + classic["added"][0] - classic["lost"][0]
    assert "Classic rejection: 6 exposures" in result.out + caplog.text
    result = run_script("threshold.py", f"input={tmp_path}/science", model, "classic=false", *options)
    assert result.status == 0, result.err
    assert "against_classic" not in json.loads(Path("out/threshold.json").read_text())


def test_one_filter_says_what_cannot_be_told(
    pair: Path, trained: Path, run_script: Run, caplog: pytest.LogCaptureFixture
) -> None:
    options = ["filters=[F814W]", "thresholds=[0.5]", "workers=1", "keep_freed_memory=false"]
    model = f"ckpt_path={trained}/checkpoints/best.ckpt"
    result = run_script("threshold.py", f"input={pair}/science", model, *options)
    assert result.status == 0
    assert "cosmic rays are counted as stars" in result.out + caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["thresholds=[0.5,0.2]"], "ascending order"),
        (["thresholds=[0.5,1.0]"], "between 0 and 1"),
        (["thresholds=[]"], "between 0 and 1"),
        (["filters=[F336W]"], "no F336W; there is F475W, F814W"),
        (["filters=[F814W]", "box=[[0,1],[1,1],[1,2]]"], "box= needs two filters"),
        (["box=[[0,1],[1,1]]"], "three corners or more"),
        (["cuts={crowdedness: 1}"], "signal_to_noise, sharpness_squared, crowding"),
        (["cuts=nowhere.yaml"], "cannot be read"),
        (["trainer.precision=bf16-mixed"], "only train and predict take it"),
        (["most_lost=0"], "must be above 0"),
        (["ckpt_path=null"], "ckpt_path= is not given; give the best.ckpt of a run, or universal"),
        (["truth=nowhere", "thresholds=[0.5]"], "holds no stars/ivis01a1q_stars.ecsv"),
    ],
)
def test_bad_input_ends_in_one_line(options: list[str], message: str, pair: Path, run_script: Run) -> None:
    result = run_script("threshold.py", f"input={pair}/science", "keep_freed_memory=false", "workers=1", *options)
    assert result.status == 1
    assert message in result.err
    assert result.err.count("\n") <= 2


def stars(places: list[tuple[float, float]], magnitude: float = 20.0) -> Stars:
    y, x = np.array(places, float).reshape(-1, 2).T
    return Stars(y, x, np.tile([magnitude + 1, magnitude], (len(y), 1)), np.ones(len(y), bool))


def test_stars_are_kept_added_and_lost() -> None:
    legacy, masked = stars([(10, 10), (50, 50), (90, 10)]), stars([(10.3, 10), (70, 70)])
    chips = [chip_stars("field", (100, 100), legacy, [masked, legacy])]
    counts = count(chips)
    assert counts.legacy.sum() == 3
    assert counts.kept.sum(1).tolist() == [1, 3]
    assert counts.added.sum(1).tolist() == [1, 0]
    assert counts.lost.sum(1).tolist() == [2, 0]
    # A star that changes its magnitude leaves a box that ends there.
    brighter = [chip_stars("field", (100, 100), stars([(10, 10)]), [stars([(10, 10)], 17.0)])]
    box = in_box([[0, 19], [2, 19], [2, 21], [0, 21]])
    assert count(brighter, box).lost.sum() == 1
    assert count(brighter, in_box([[0, 16], [2, 16], [2, 18], [0, 18]])).added.sum() == 1
    assert count(brighter, box).added.sum() == 0


def test_recommendation_keeps_to_what_may_be_lost() -> None:
    levels = np.array([0.1, 0.3, 0.5])
    rng = np.random.default_rng(9)
    lost = rng.poisson([[12], [3], [1]], (3, 64)).astype(float)
    added = rng.poisson([[40], [20], [10]], (3, 64)).astype(float)
    counts = Counts(np.full(64, 100.0), added, lost)
    free, strict = (recommend(levels, counts, share, "in all") for share in (0.5, 0.05))
    assert (free.threshold, strict.threshold) == (0.1, 0.3)
    assert strict.interval[0] <= 0.3 <= strict.interval[1]
    none = recommend(levels, counts, 0.001, "in all")
    assert none.threshold == 0.5
    assert "every threshold loses more" in none.reason


def test_shift_between_filters_is_found() -> None:
    rng = np.random.default_rng(10)
    places = rng.uniform(0, 200, (150, 2))
    magnitude = rng.uniform(20, 25, 150)
    first = Table({"y": places[:, 0], "x": places[:, 1], "magnitude": magnitude})
    second = Table({"y": places[:, 0] + 3.4, "x": places[:, 1] - 5.2, "magnitude": magnitude - 1})
    shift = find_shift(first, second)
    assert shift == pytest.approx((3.4, -5.2), abs=0.05)
    assert len(join_filters([first, second], shift)) == 150
    other = Table({"y": rng.uniform(0, 200, 150), "x": rng.uniform(0, 200, 150), "magnitude": magnitude})
    assert find_shift(first, other) == (0, 0)


def test_cuts_come_from_the_camera_or_a_file(tmp_path: Path) -> None:
    assert choose_cuts(None, "ACS WFC 1x1") == Cuts(4.0, 0.20, 2.25)
    assert choose_cuts(None, "WFC3 UVIS 1x1") == Cuts(4.0, 0.15, 1.30)
    (tmp_path / "mine.yaml").write_text("signal_to_noise: 7\n")
    assert choose_cuts(tmp_path / "mine.yaml", "") == Cuts(7, 0.15, 1.30)
    table = Table({"y": [1.0], "x": [1.0], "magnitude": [20.0], "signal_to_noise": [9.0], "crowding": [0.1]})
    with pytest.raises(InputError, match="no column sharpness"):
        good_stars(table, Cuts(), "table")
    table["sharpness"] = [0.1]
    assert good_stars(table, Cuts(), "table").tolist() == [True]
    assert good_stars(table, Cuts(crowding=0.05), "table").tolist() == [False]


def test_exposures_for_dolphot(pair: Path, trained: Path, run_script: Run, tmp_path: Path) -> None:
    model = f"ckpt_path={trained}/checkpoints/best.ckpt"
    options = [f"input={pair}/science", model, "keep_freed_memory=false", "dolphot=out", "thresholds=[0.2,0.5]"]
    assert run_script("threshold.py", *options).status == 0
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["0.2", "0.5", "none", "run.sh"]
    flagged = []
    for level in ("none", "0.5", "0.2"):
        copies = sorted((out / level).glob("*.fits"))
        assert [path.name for path in copies] == ["ivis01a1q_flc.fits", "ivis01a2q_flc.fits"]
        flagged.append(sum(int((fits.getdata(path, "DQ") & 8192 > 0).sum()) for path in copies))
        text = (out / level / "dolphot.param").read_text()
        assert "Nimg = 2\nimg0_file = ivis01a1q_flc.chip1\nimg1_file = ivis01a1q_flc.chip1\n" in text
    assert flagged[0] == 0 < flagged[1] < flagged[2]
    assert "for level in none 0.2 0.5" in (out / "run.sh").read_text()
    # A stand-in for each of DOLPHOT's programs says what it was called with.
    for name in ("wfc3mask", "splitgroups", "calcsky", "dolphot"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n')
        program.chmod(0o755)
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    subprocess.run(["sh", str(out / "run.sh")], check=True, env=path)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "wfc3mask ivis01a1q_flc.fits ivis01a2q_flc.fits"
    assert "dolphot ../0.5.phot -pdolphot.param" in calls


def test_exposures_are_paired_by_visit() -> None:
    def seen(*names: str) -> list[Seen]:
        return [Seen(name, name[:6], "F475W" if name[7] in "12" else "F814W") for name in names]

    pairs = seen("ivis01a1q", "ivis01a2q", "ivis01a3q", "ivis01a4q", "ivis02a1q")
    assert choose_filters(pairs, None) == ("F475W", "F814W")
    fields, alone = group_fields(pairs, ("F475W", "F814W"))
    assert [field.files for field in fields] == [("ivis01a1q", "ivis01a3q"), ("ivis01a2q", "ivis01a4q")]
    assert alone == ["ivis02a1q"]
    with pytest.raises(InputError, match="no visit has exposures in both F475W and F814W"):
        group_fields(seen("ivis01a1q", "ivis02a3q"), ("F475W", "F814W"))
    with pytest.raises(InputError, match="name one or two with filters="):
        choose_filters([Seen(name, "visit", name) for name in ("F475W", "F814W", "F275W")], None)
