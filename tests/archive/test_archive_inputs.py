"""predict.py and train.py on exposures of the archive, against a stand-in for MAST."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from archive_server import StandIn
from astropy.io import fits
from conftest import ON_CPU, PLAIN, REPOSITORY, Result, last_line

from deepcr_lightning.archive import transfer
from deepcr_lightning.archive.address import Address, read_address
from deepcr_lightning.archive.passing import PassingExposures
from deepcr_lightning.archive.wanted import Wanted
from deepcr_lightning.errors import InputError
from deepcr_lightning.models.model import load_model

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PAUSE", 0.0)


def predict(run_script: Run, trained: Path, source: str, *overrides: str) -> Result:
    return run_script(
        "predict.py",
        f"ckpt_path={trained}/checkpoints/best.ckpt",
        f"input={source}",
        "output_dir=out",
        "download_dir=cache",
        *ON_CPU,
        *overrides,
    )


def masks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*_crmask.fits"))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.fits"))


def test_exposures_of_a_proposal_come_and_go(
    archive: StandIn, survey: Path, trained: Path, run_script: Run, tmp_path: Path
) -> None:
    local = run_script(
        "predict.py", f"ckpt_path={trained}/checkpoints/best.ckpt", f"input={survey}/science", "output_dir=local",
        *ON_CPU,
    )  # fmt: skip
    assert local.status == 0, local.err
    result = predict(run_script, trained, "mast:16801?filter=F336W", "products=[mask,dq_copy]")
    assert result.status == 0, result.err
    assert "3 exposures cleaned" in result.out
    assert masks(tmp_path / "out") == ["ivis01a0q_crmask.fits", "ivis02a0q_crmask.fits", "ivis03a0q_crmask.fits"]
    assert files(tmp_path / "cache") == []
    for name in masks(tmp_path / "out"):
        ours, theirs = (fits.getdata(tmp_path / folder / name) for folder in ("out", "local"))
        np.testing.assert_array_equal(ours, theirs)
    with (tmp_path / "cache" / "download.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    del archive.asked[:]
    assert predict(run_script, trained, "mast:16801?filter=F336W", "products=[mask,dq_copy]").status == 0
    assert archive.asked == [], "what is cleaned is not fetched, what is selected not asked for"


def test_exposures_may_stay(archive: StandIn, trained: Path, run_script: Run, tmp_path: Path) -> None:
    result = predict(run_script, trained, "mast:ivis02a1q", "keep_downloads=true")
    assert result.status == 0, result.err
    assert files(tmp_path / "cache") == ["ivis02a1q_flc.fits"]
    assert predict(run_script, trained, "mast:ivis02a1q", "overwrite=true").status == 0
    assert archive.downloads == ["ivis02a1q_flc.fits"]
    assert files(tmp_path / "cache") == ["ivis02a1q_flc.fits"], "what was there stays"


def test_one_that_does_not_come_does_not_stop_the_others(
    archive: StandIn, trained: Path, run_script: Run, tmp_path: Path
) -> None:
    archive.hide("ivis01a1q_flc.fits")
    archive.faults["ivis02a0q_flc.fits"] = [("cut", 60_000)]
    result = predict(run_script, trained, "mast:16801")
    assert result.status == 1
    assert "5 exposures cleaned" in result.out
    assert "1 of 6 exposures were not cleaned" in result.err
    assert "ivis01a1q_flc.fits: is not public yet (401)" in result.err
    assert files(tmp_path / "cache") == []


def test_odd_exposures_are_fetched_again_for_their_picture(
    archive: StandIn, trained: Path, run_script: Run, tmp_path: Path
) -> None:
    result = predict(run_script, trained, "mast:16801", "threshold=1e-4")
    assert result.status == 0, result.err
    assert (tmp_path / "out" / "odd_exposures.png").read_bytes().startswith(b"\x89PNG")
    assert files(tmp_path / "cache") == []


def test_only_a_few_are_there_at_a_time(archive: StandIn, tmp_path: Path) -> None:
    passing = PassingExposures(["mast:16801"], tmp_path, keep=False)
    paths = list(passing.places)
    most = 0
    for number, path in enumerate(paths):
        passing.fetch(path, paths[number + 1 :])
        assert path.read_bytes() == archive.content[path.name]
        most = max(most, len(files(tmp_path)))
        passing.drop(path)
    assert most <= 4 < len(paths)
    assert sorted(archive.downloads) == sorted(path.name for path in paths)


def test_what_a_killed_run_left_goes(archive: StandIn, trained: Path, run_script: Run, tmp_path: Path) -> None:
    assert predict(run_script, trained, "mast:16801", "threshold=0.5").status == 0
    left = tmp_path / "cache" / "passing" / "ivis01a0q_flc.fits"
    left.write_bytes(archive.content[left.name])
    assert predict(run_script, trained, "mast:16801", "threshold=0.5").status == 0
    assert files(tmp_path / "cache") == []


@pytest.mark.parametrize("of", [1, 2, 3, 6, 7])
def test_shares_are_all_of_it_and_each_once(archive: StandIn, tmp_path: Path, of: int) -> None:
    shares = [
        list(PassingExposures([f"mast:16801?share={number}/{of}"], tmp_path, keep=False).places)
        for number in range(1, of + 1)
    ]
    every = [path.name for share in shares for path in share]
    assert sorted(every) == sorted(name for name in archive.content if name.startswith("ivis"))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    queries = [kind for kind, _ in archive.asked if kind == "Mast.Caom.Filtered"]
    assert len(queries) == 1, "the shares are of one selection"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("mast:16801", Address(Wanted(proposal="16801"))),
        ("mast:IDSJ02AXQ", Address(Wanted(root="idsj02axq"))),
        (
            "mast:16801?filter=f336w,F814W&max=8&share=2/3&cloud=true",
            Address(Wanted(proposal="16801", filters=("F336W", "F814W"), most=8), (2, 3), True),
        ),
        ("mast:?target=M31*&camera=acs/wfc", Address(Wanted(target="M31*", camera="ACS/WFC"))),
        (
            "mast:?cone=10.5,41,0.1&dates=2022-01-01..2022-01-02",
            Address(Wanted(cone=(10.5, 41.0, 0.1), dates=(59580.0, 59582.0))),
        ),
        ("mast:", "is not an address of the archive; give one such as mast:16801"),
        ("mast:M31", "is not an address of the archive"),
        ("mast:16801?filters=F336W", "filters is not known; after ? come target, cone, filter"),
        ("mast:16801?share=0/4", "share=0/4 must be such as 3/40"),
        ("mast:16801?share=5/4", "share=5/4 must be such as 3/40"),
        ("mast:16801?max=x", "max=x: must be a whole number"),
    ],
)
def test_addresses(address: str, expected: Address | str) -> None:
    if isinstance(expected, Address):
        assert read_address(address) == expected
    else:
        with pytest.raises(InputError, match="mast:") as caught:
            read_address(address)
        assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mast:99999", "proposal 99999: the archive has no science exposures"),
        ("mast:ivis09a0q", "exposure ivis09a0q: the archive has neither it nor its visit"),
        ("mast:16801?filter=F999W", "it has F336W, F814W"),
        ("[mast:16801,nowhere]", "input: names files and exposures of the archive; give one kind at a time"),
    ],
)
def test_bad_addresses_are_one_line(
    archive: StandIn, trained: Path, run_script: Run, source: str, message: str
) -> None:
    result = predict(run_script, trained, source)
    assert result.status == 1
    assert message in last_line(result.err)
    assert "Traceback" not in result.err
    assert "selection" not in last_line(result.err), "the address is at fault, and no file that keeps a selection"


def test_a_member_is_found_by_its_visit(archive: StandIn, trained: Path, run_script: Run, tmp_path: Path) -> None:
    content = archive.content["ivis01a0q_flc.fits"]
    about = {"instrument_name": "WFC3/UVIS", "filters": "F336W", "proposal_id": "17000", "t_min": 59800.0}
    for name in ("ivis09a1q_flc.fits", "ivis09a2q_flc.fits"):
        archive.add(name, content, parent="ivis09010", **about)
    assert predict(run_script, trained, "mast:ivis09a2q").status == 0
    assert masks(tmp_path / "out") == ["ivis09a2q_crmask.fits"]
    assert predict(run_script, trained, "mast:ivis09010").status == 0
    assert masks(tmp_path / "out") == ["ivis09a1q_crmask.fits", "ivis09a2q_crmask.fits"]


def train(run_script: Run, *overrides: str) -> Result:
    return run_script("train.py", *PLAIN, "download_dir=cache", "hydra.run.dir=run", *overrides)


def test_a_training_from_two_words(
    archive: StandIn, run_script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = train(run_script, "data.science=mast:16801", "data.darks=near", "data.filters=[F336W]")
    assert result.status == 0, result.err
    assert files(tmp_path / "cache" / "science") == [f"ivis0{visit}a0q_flc.fits" for visit in (1, 2, 3)]
    assert len(files(tmp_path / "cache" / "darks")) == 4
    with monkeypatch.context() as offline:
        # The same exposures, whatever the archive has by now, and without a network.
        offline.setenv("DEEPCR_LIGHTNING_MAST", "http://127.0.0.1:9")
        result = run_script("train.py", "ckpt_path=run/checkpoints/last.ckpt", "trainer.max_epochs=3")
    assert result.status == 0, result.err
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.science={survey}/science", "data.darks=near"], "data.darks=near: goes with data.science=mast:..."),
        (["data.science=mast:16801", "data.darks=mast:ivis01a0q"], "must be near, or mast: and the number"),
        (["data.science=mast:16801?share=1/2", "data.darks=near"], "share= is for predict"),
        (["data.science=mast:99999", "data.darks=near"], "proposal 99999: the archive has no science exposures"),
        (["data.science=mast:16801", "data.darks=mast:12345"], "no darks of WFC3/UVIS of proposal 12345"),
    ],
)
def test_bad_training_addresses_are_one_line(
    archive: StandIn, survey: Path, run_script: Run, overrides: list[str], message: str
) -> None:
    result = train(run_script, *[text.format(survey=survey) for text in overrides])
    assert result.status == 1
    assert message in last_line(result.err)
    assert "Traceback" not in result.err
    assert "selection" not in last_line(result.err), "the address is at fault, and no file that keeps a selection"


def test_a_training_needs_all_of_its_files(archive: StandIn, run_script: Run) -> None:
    archive.faults["ivis02a0q_flc.fits"] = [404]
    result = train(run_script, "data.science=mast:16801", "data.darks=mast:16568")
    assert result.status == 1
    assert "1 of 10 files could not be downloaded; run the same command again" in last_line(result.err)
    assert "the archive lists it but does not have it (404)" in last_line(result.err)


@pytest.mark.slow
def test_a_universal_model_of_real_exposures(archive: StandIn, tmp_path: Path) -> None:
    """The recipe of make universal-real, in small."""
    (tmp_path / "table.csv").write_text("filter,proposal,exposures,field\nF336W,16801,3,a\nF814W,16801,2,b\n")
    environment = {**os.environ, "TABLE": f"{tmp_path}/table.csv", "DARKS": "4", "PYTHON": sys.executable}
    small = [text for text in PLAIN if not text.startswith("model.")]
    command = [
        "bash",
        "benchmarks/train_universal_real.sh",
        str(tmp_path / "out"),
        *small,
        "trainer.max_epochs=1",
        f"data.store_dir={tmp_path}/tiles",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "out" / "science")) == 5
    assert len(files(tmp_path / "out" / "darks")) == 4
    model = load_model(tmp_path / "out" / "universal_real.ckpt")
    assert model.card.data.filters == ("F336W", "F814W")


def test_other_commands_want_files(archive: StandIn, trained: Path, survey: Path, run_script: Run) -> None:
    checkpoint = f"ckpt_path={trained}/checkpoints/best.ckpt"
    result = run_script("evaluate.py", checkpoint, "input=mast:16801", f"darks={survey}/darks")
    assert result.status == 1
    assert "input=mast:16801: takes files only; fetch these with deepcr-lightning download first" in last_line(
        result.err
    )
