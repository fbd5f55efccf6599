"""Damaged and hostile files beside exposures: models, studies, results, records, truth, downloads, pictures, cards."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from conftest import Result, predict

from deepcr_lightning.archive.transfer import fault
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.truth import read_truth
from deepcr_lightning.labels.groups import read_groups
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.summary import CLEANED, Row
from deepcr_lightning.prediction.survey_page import write_survey_page
from deepcr_lightning.runs.record import read_record
from deepcr_lightning.sweeps.result import KILLED, SCORE, read_result
from deepcr_lightning.thresholds.catalogues import read_catalogue
from deepcr_lightning.thresholds.good_stars import choose_cuts
from deepcr_lightning.tiles.store import TileStore


@pytest.mark.parametrize("network", [{"norm": []}, {"norm": "x"}, {"depth": 1e300}, {"depth": -1}, {"hidden": 0}])
def test_a_model_with_an_impossible_network_is_named(network: dict[str, Any], trained: Path, tmp_path: Path) -> None:
    """Nobody typed model.depth=: the message has to name the file that says so."""
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["deepcr_lightning"]["network"] |= network
    torch.save(checkpoint, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt: "):
        load_model(tmp_path / "a.ckpt")


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")  # by Optuna, when it cannot read one
@pytest.mark.parametrize("damage", ["no database", "half", "its options are no list"])
def test_a_damaged_study_is_named_in_a_line(
    damage: str, run_script: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setattr("deepcr_lightning.commands.train.train", lambda cfg: ({SCORE: 0.5}, ""))
    monkeypatch.setattr("deepcr_lightning.sweeps.collect.plot_sweep", lambda path, results: None)

    def search() -> Result:
        given = ["hparams_search=optuna", "model.hidden=4,8", "hydra.sweeper.trials=1", "hydra.sweep.dir=search"]
        return run_script("train.py", "-m", "data.science=s", "data.darks=d", "trainer.accelerator=cpu", *given)

    study = tmp_path / "search" / "study.db"
    if damage == "no database":
        study.parent.mkdir()
        study.write_bytes(b"no database" * 1000)
    else:
        assert search().status == 0
        data = study.read_bytes()
        study.write_bytes(
            data[: len(data) // 2] if damage == "half" else data.replace(b'["data.science', b'{"data.science')
        )
    result = search()
    assert result.status == 1
    assert "error: search/study.db: is damaged, or cannot be written (" in result.err
    assert "Traceback" not in result.err
    gc.collect()  # while that warning is allowed


@pytest.mark.parametrize("plane", ["CRTRUTH", "IGNORE", "CRCHARGE"])
def test_truth_that_unpacks_to_gigabytes_is_refused(plane: str, survey: Path, tmp_path: Path) -> None:
    path = tmp_path / "ivis01a0q_truth.fits"
    with fits.open(survey / "truth" / path.name) as hdus:
        hdus[plane] = fits.CompImageHDU(np.zeros((64, 96), np.uint8), name=plane, compression_type="GZIP_1")
        hdus[plane].ver = 1
        hdus.writeto(path)
    data = path.read_bytes()
    for key in ("ZNAXIS1", "ZNAXIS2"):
        place = data.rindex(f"{key:8}=".encode())
        data = data[:place] + f"{key:8}= {50_000:20}".ljust(80).encode() + data[place + 80 :]
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"_truth\.fits: .*MB that expand to"):
        read_truth(path)


def test_a_download_with_a_thousand_million_axes_is_no_whole_file(tmp_path: Path) -> None:
    """astropy counts them in a loop, for hours."""
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((9, 9)))]).writeto(tmp_path / "a.fits")
    data = (tmp_path / "a.fits").read_bytes()
    assert fault(tmp_path / "a.fits") == ""
    place = data.rindex(b"NAXIS   =")
    (tmp_path / "a.fits").write_bytes(data[:place] + f"NAXIS   = {10**9:20}".ljust(80).encode() + data[place + 80 :])
    assert "has 1000000000 axes" in fault(tmp_path / "a.fits")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"no picture"])
def test_a_damaged_preview_does_not_keep_the_page_of_a_survey_away(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a_crpreview.png").write_bytes(content)
    row = Row("/in/a.fits", CLEANED, "F336W", 5.0, 5.0, 0.1, 0.1)
    write_survey_page(tmp_path / "index.html", [(row, tmp_path / "a_crpreview.png")])
    assert ">a.fits<" in (tmp_path / "index.html").read_text()


def test_a_header_chooses_no_place_and_puts_no_script_into_a_page(
    trained: Path, survey: Path, run_script: Callable[..., Result], tmp_path: Path
) -> None:
    script = "<script>alert(1)</script>"
    (tmp_path / "in").mkdir()
    path = Path(shutil.copy(survey / "science" / "ivis01a0q_flc.fits", tmp_path / "in"))
    for key, value in (("ROOTNAME", "../../evil"), ("FILENAME", "/evil.fits"), ("ASN_ID", "../evil")):
        fits.setval(path, key, value=value)
    for key in ("TARGNAME", "FILTER", "OBSERVER"):
        fits.setval(path, key, value=script)
    before = {place for place in tmp_path.rglob("*") if place.is_file()}
    result = predict(
        run_script, trained, path, "products=[mask,dq_copy,clean,preview,regions]", "hydra.run.dir=out/run"
    )
    assert result.status == 0, result.err
    made = {place for place in tmp_path.rglob("*") if place.is_file()} - before
    assert made
    assert all(tmp_path / "out" in place.parents for place in made)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<script>alert" not in page.lower()
    assert "&lt;script&gt;alert(1)" in page.lower()


@pytest.mark.parametrize(
    "text",
    [
        "signal_to_noise: !!python/object/apply:os.mkdir [MARK]",
        "signal_to_noise: &a 4\ncrowding: *a",
        "signal_to_noise: ${oc.env:HOME}",
        "_target_: os.mkdir\npath: MARK",
        "\x00",
        "- 3",
    ],
)
def test_a_file_of_cuts_runs_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "cuts.yaml").write_text(text.replace("MARK", str(tmp_path / "mark")))
    with pytest.raises(InputError, match="cuts="):
        choose_cuts(tmp_path / "cuts.yaml", "")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", [b"\x00", b"a b c\n", b"\xff\xfe", b""])
def test_a_damaged_table_of_groups_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "groups.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"groups\.txt"):
        read_groups(tmp_path / "groups.txt")


def test_a_catalogue_with_a_thousand_million_columns_is_refused(tmp_path: Path) -> None:
    Table({"x": [1.0], "y": [1.0]}).write(tmp_path / "a.fits")
    data = (tmp_path / "a.fits").read_bytes()
    place = data.index(b"TFIELDS =")
    (tmp_path / "a.fits").write_bytes(data[:place] + f"TFIELDS = {10**9:20}".ljust(80).encode() + data[place + 80 :])
    with pytest.raises(InputError, match="has 1000000000 axes or columns"):
        read_catalogue(tmp_path / "a.fits", {"x": "x", "y": "y"})


@pytest.mark.parametrize(("key", "value"), [("tiles", 10**6), ("tile_size", 10**5), ("tiles", -1), ("rows", 10**6)])
def test_a_tile_store_is_not_read_beyond_its_files(key: str, value: int, trained: Path, tmp_path: Path) -> None:
    built = min((trained.parent / "tiles").glob("*/store.json"))  # other tests of this process may have added stores
    store = shutil.copytree(built.parent, tmp_path / "store")
    assert len(TileStore(store))
    info = json.loads((store / "store.json").read_text())
    (info["layers"][-1] if key == "rows" else info)[key] = value
    (store / "store.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="the tile store is damaged"):
        TileStore(store)


@pytest.mark.parametrize(
    "values",
    [
        [],
        {"status": "done", "scores": [1]},
        {"status": "done", "scores": {"val/average_precision": "x"}},
        {"status": "running", "process": -1},
        {"status": "running", "process": 10**30},
        {"status": "else"},
        {"status": "done", "seconds": "x"},
        {"status": "done", "overrides": [1]},
    ],
)
def test_a_damaged_result_counts_as_killed(values: Any, tmp_path: Path) -> None:
    job = tmp_path / "0"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra" / "overrides.yaml").write_text("- model.depth=2\n")
    (job / "result.json").write_text(json.dumps(values))
    found = read_result(job)
    assert found is not None
    assert (found.status, found.overrides) == (KILLED, ["model.depth=2"])


@pytest.mark.parametrize("text", ["[", "[" * 100_000, "[]", '{"earlier": 3}', "\x00", '{"a": ' * 5000])
def test_a_damaged_record_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json: is not a record of a run; move it away"):
        read_record(tmp_path)
