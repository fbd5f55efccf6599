"""download.py against a stand-in for MAST: what it finds, fetches, keeps and refuses."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import StandIn
from conftest import Result, last_line

from deepcr_lightning.archive import transfer

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PAUSE", 0.0)


def download(run_script: Run, *overrides: str) -> Result:
    return run_script("download.py", "output_dir=out", "yes=true", *overrides)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_exposures_and_darks_come_with_a_table(archive: StandIn, run_script: Run, tmp_path: Path) -> None:
    result = download(run_script, "proposal=16801", "filter=f336w", "darks=near", "max_darks=2")
    assert result.status == 0, result.err
    science, dark = names(tmp_path / "out" / "science"), names(tmp_path / "out" / "darks")
    assert science == ["ivis01a0q_flc.fits", "ivis02a0q_flc.fits", "ivis03a0q_flc.fits"]
    assert len(dark) == 2
    with (tmp_path / "out" / "download.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert set(rows) == {*(f"science/{name}" for name in science), *(f"darks/{name}" for name in dark)}
    for name, row in rows.items():
        content = (tmp_path / "out" / name).read_bytes()
        assert content == archive.content[Path(name).name]
        assert (int(row["size"]), row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert row["uri"] == f"mast:HST/product/{Path(name).name}"
    row = rows["science/ivis02a0q_flc.fits"]
    assert (row["proposal"], row["filter"], row["exposure_time"]) == ("16801", "F336W", "500")
    assert row["observed"] == "2022-07-20"
    for line in ("ivis01a0q_flc.fits", "5 files, 0.4 MB", "5 files were downloaded"):
        assert line in result.out


def test_what_is_there_is_kept(archive: StandIn, run_script: Run, tmp_path: Path) -> None:
    assert download(run_script, "proposal=16801").status == 0
    before = (tmp_path / "out" / "download.csv").read_text()
    (tmp_path / "out" / "science" / "ivis02a0q_flc.fits").unlink()
    del archive.asked[:]
    result = download(run_script, "proposal=16801")
    assert result.status == 0
    assert archive.downloads == ["ivis02a0q_flc.fits"]
    assert "1 files were downloaded, 5 were there before" in result.out
    assert len((tmp_path / "out" / "download.csv").read_text().splitlines()) == len(before.splitlines())


def test_files_of_others_are_noted_or_named(archive: StandIn, run_script: Run, survey: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "science"
    shutil.copytree(survey / "science", folder)
    cut = folder / "ivis01a0q_flc.fits"
    cut.write_bytes(cut.read_bytes()[:30_000])
    archive.products[1]["size"] += 2880
    result = download(run_script, "proposal=16801")
    assert result.status == 1
    assert archive.downloads == []
    assert "1 of 6 files could not be downloaded" in result.err
    assert "exists but is not a complete FITS file" in result.err
    assert cut.stat().st_size == 30_000
    assert "ivis01a1q_flc.fits: kept, although the archive now has one of another size" in result.out
    assert download(run_script, "proposal=16801", "overwrite=true").status == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.fits")} == {
        name: archive.content[name] for name in names(folder)
    }


def test_it_asks_first(archive: StandIn, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_script("download.py", "proposal=16801", "output_dir=out")
    assert result.status == 1
    assert "6 files, 0.5 MB: there is no terminal to ask" in last_line(result.err)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert "Nothing was downloaded" in run_script("download.py", "proposal=16801", "output_dir=out").out
    assert archive.downloads == []
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert run_script("download.py", "proposal=16801", "output_dir=out", "max=1").status == 0
    assert len(names(tmp_path / "out" / "science")) == 1


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (["proposal=16801", "max=3"], ["ivis01a0q", "ivis02a0q", "ivis03a0q"]),
        (["proposal=16801", "filter=[F814W]", "max=2"], ["ivis01a1q", "ivis02a1q"]),
        (["target=FIELD*", "dates=[2022-07-11,2022-07-20]"], ["ivis02a0q", "ivis02a1q"]),
        (["target=field-b3"], ["ivis03a0q", "ivis03a1q"]),
        (["cone=[11,41,0.1]", "camera=wfc3/uvis"], ["ivis02a0q", "ivis02a1q"]),
    ],
)
def test_searches(archive: StandIn, run_script: Run, tmp_path: Path, overrides: list[str], found: list[str]) -> None:
    result = download(run_script, *overrides)
    assert result.status == 0, result.err
    assert names(tmp_path / "out" / "science") == [f"{root}_flc.fits" for root in found]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["proposal=99999"], "proposal 99999: the archive has no science exposures of HST in it"),
        (["proposal=M31"], "proposal=M31: must be a number"),
        (["proposal=16801", "filter=F555W"], "filter=F555W: proposal 16801 has no such exposure; it has F336W, F814W"),
        (["proposal=16801", "target=M33"], "targets of the proposal: FIELD-B1, FIELD-B2, FIELD-B3"),
        (["target=M33"], "target M33: the archive has no science exposures"),
        (["proposal=16801", "camera=ACS/WFC"], "no exposure is of ACS/WFC; there are WFC3/UVIS"),
        (["proposal=16801", "camera=WFC3/IR"], "camera=WFC3/IR: choose from WFC3/UVIS"),
        (["proposal=16801", "dates=[2021-01-01,2021-02-01]"], "was observed from 2022-07-10 to 2022-07-30"),
        (["proposal=16801", "dates=2021"], "dates=2021: must be two dates"),
        (["proposal=16801", "dates=[2022-02-01,2022-01-01]"], "the second is before the first"),
        (["proposal=16801", "product=flt"], "product=flt is not there; the archive has _flc of 6 observations"),
        (["proposal=16801", "product=drz"], "product=drz: choose from flc, flt"),
        (["proposal=16801", "max=0"], "max=0: must be 1 or more"),
        (["proposal=16801", "max=few"], "max=few: must be a number"),
        (["cone=[1,2]"], "cone=[1, 2]: must be [RA,DEC,RADIUS]"),
        (["cone=[400,2,1]"], "RA must be 0 to 360"),
        ([], "none of proposal=, target=, cone= is given"),
        (["proposal=16801", "darks=none"], "darks=none: must be near, or the number"),
        (["proposal=16801", "darks=near", "dark_days=0"], "dark_days=0: must be positive"),
        (["proposal=16801", "workers=0"], "workers=0: must be 1 or more"),
        (["proposal=16801", "output_dir=null"], "output_dir= is not given"),
        (["proposal=16801", "cloud=nonsense://bucket"], "cloud=nonsense://bucket: "),
    ],
)
def test_bad_input_is_one_line(
    archive: StandIn, run_script: Run, tmp_path: Path, overrides: list[str], message: str
) -> None:
    result = download(run_script, *overrides)
    assert result.status == 1
    assert message in last_line(result.err)
    assert "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


def test_no_network_is_one_line(archive: StandIn, run_script: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPCR_LIGHTNING_MAST", "http://127.0.0.1:9")
    result = download(run_script, "proposal=16801")
    assert result.status == 1
    expected = r"error: http://127.0.0.1:9: cannot be reached \(Failed to establish .* refused\); check the network\n"
    assert re.fullmatch(expected, result.err)
    assert result.out == ""


def test_a_disk_that_would_not_hold_it(
    archive: StandIn, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 * 2**20 + 400_000))
    result = download(run_script, "proposal=16801")
    assert result.status == 1
    assert "out: 0.5 MB are needed and 105.3 MB are free there" in last_line(result.err)
    assert archive.downloads == []
    assert download(run_script, "proposal=16801", "max=5").status == 0


def test_a_slow_and_busy_archive_is_waited_for(archive: StandIn, run_script: Run, tmp_path: Path) -> None:
    archive.executing = 3
    archive.faults["/api/v0/invoke"] = [503, (429, {"Retry-After": "1"})]
    archive.faults["ivis01a0q_flc.fits"] = [(503, {"Retry-After": "0"}), ("slow", 0.2)]
    result = download(run_script, "proposal=16801", "max=1")
    assert result.status == 0, result.err
    assert names(tmp_path / "out" / "science") == ["ivis01a0q_flc.fits"]
    archive.faults["/api/v0/invoke"] = [(429, {"Retry-After": "3600"})]
    result = download(run_script, "proposal=16801")
    assert result.status == 1
    assert "asks to wait for 3600 s" in last_line(result.err)


def test_another_table_than_expected(archive: StandIn, run_script: Run) -> None:
    archive.rename["t_min"] = "t_start"
    result = download(run_script, "proposal=16801")
    assert result.status == 1
    assert "the archive's table has no column t_min any more (it has obsid, obs_id" in last_line(result.err)
    archive.rename.clear()
    archive.faults["/api/v0/invoke"] = [(200, {})]
    result = download(run_script, "proposal=16801")
    assert result.status == 1
    assert "not as expected" in last_line(result.err)
    assert "Traceback" not in result.err


def test_proprietary_exposures(
    archive: StandIn, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.hide("ivis02a0q_flc.fits")
    result = download(run_script, "proposal=16801", "filter=F336W")
    assert result.status == 1
    assert "not public" in result.out
    assert "1 of 3 files could not be downloaded" in result.err
    assert "ivis02a0q_flc.fits: is not public yet (401); set MAST_API_TOKEN if it is yours" in result.err
    assert len(names(tmp_path / "out" / "science")) == 2
    monkeypatch.setenv("MAST_API_TOKEN", "wrong")
    result = download(run_script, "proposal=16801", "filter=F336W")
    assert result.status == 1
    assert "MAST_API_TOKEN: the archive refuses this token" in last_line(result.err)
    archive.tokens.add("right")
    monkeypatch.setenv("MAST_API_TOKEN", "right")
    assert download(run_script, "proposal=16801", "filter=F336W").status == 0
    assert len(names(tmp_path / "out" / "science")) == 3


@pytest.mark.parametrize("bucket", ["memory://stpubdata", "file://{folder}/copy"])
def test_public_files_come_from_the_bucket(archive: StandIn, run_script: Run, tmp_path: Path, bucket: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    bucket = bucket.format(folder=tmp_path)
    for name in ("ivis01a0q_flc.fits", "ivis02a0q_flc.fits"):
        with fsspec.open(f"{bucket}/hst/public/ivis/{name[:9]}/{name}", "wb", auto_mkdir=True) as file:
            file.write(archive.content[name])
    result = download(run_script, "proposal=16801", "filter=F336W", f"cloud={bucket}")
    assert result.status == 0, result.err
    assert archive.downloads == ["ivis03a0q_flc.fits"], "which the bucket does not have"
    for name in names(tmp_path / "out" / "science"):
        assert (tmp_path / "out" / "science" / name).read_bytes() == archive.content[name]


def test_members_of_associations_are_exposures(archive: StandIn, run_script: Run, tmp_path: Path) -> None:
    content = archive.content["ivis01a0q_flc.fits"]
    about = {"instrument_name": "ACS/WFC", "filters": "F606W;CLEAR2L", "proposal_id": "17000", "t_min": 59800.0}
    for name in ("jvis09a1q_flc.fits", "jvis09a2q_flc.fits", "jvis09a1q_raw.fits", "jvis09010_drc.fits"):
        archive.add(name, content, parent="jvis09010", **about)
    result = download(run_script, "proposal=17000", "filter=F606W")
    assert result.status == 0, result.err
    assert names(tmp_path / "out" / "science") == ["jvis09a1q_flc.fits", "jvis09a2q_flc.fits"]


def test_planned_exposures_are_no_exposures(archive: StandIn, run_script: Run) -> None:
    about = {"instrument_name": "WFC3/UVIS", "filters": "F336W", "proposal_id": "16801", "t_min": None}
    archive.add("ivis09a1q_flc.fits", b"", **about)
    result = run_script("download.py", "proposal=16801", "output_dir=out")
    assert "6 files, 0.5 MB" in last_line(result.err)


def test_help_and_an_unknown_option(run_script: Run) -> None:
    result = run_script("download.py", "proposals=16801")
    assert result.status == 1
    assert "proposals=16801: there is no option proposals; did you mean proposal=16801?" in result.err
    result = run_script("download.py", "--help")
    assert result.status == 0
    assert "dark_days=30 " in result.out
