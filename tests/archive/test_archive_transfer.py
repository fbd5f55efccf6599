"""Downloads from a stand-in for MAST that are cut off, killed, changed and damaged."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from archive_server import Running, StandIn, with_sums
from conftest import REPOSITORY, Result, last_line, small_disk, write_hst
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepcr_lightning.archive import transfer
from deepcr_lightning.archive.darks import nearest_in_turn
from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.search import spread
from deepcr_lightning.archive.server import Archive
from deepcr_lightning.archive.sources import BLOCK, StoppedError, over_api, source_of
from deepcr_lightning.archive.transfer import download, fault
from deepcr_lightning.errors import InputError

Run = Callable[..., Result]
NAME = "iabc01a0q_flc.fits"


def product(name: str = NAME, start: float = 59770.0) -> Product:
    uri, about = f"mast:HST/product/{name}", ("WFC3/UVIS", "F336W", "FIELD", "16801")
    return Product(name, uri, 0, "science", *about, start, 500.0, True)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PAUSE", 0.0)


@pytest.fixture
def one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    pytest.importorskip("astroquery")
    held = StandIn()
    image = np.random.default_rng(3).normal(30, 3, (300, 400))
    held.add(NAME, with_sums(write_hst(tmp_path / "held" / NAME, [image])))
    with Running(held):
        monkeypatch.setenv("DEEPCR_LIGHTNING_MAST", held.url)
        yield held


def bring(folder: Path) -> Path:
    path = folder / NAME
    download(product(), path, over_api(Archive()), lambda size: None, Event())
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.floats(0, 0.999), max_size=3), ranges=st.booleans(), tags=st.booleans())
def test_a_file_comes_whole_wherever_it_is_cut(
    one_file: StandIn, tmp_path_factory: pytest.TempPathFactory, cuts: list[float], ranges: bool, tags: bool
) -> None:
    folder, content = tmp_path_factory.mktemp("cut"), one_file.content[NAME]
    one_file.ranges, one_file.tags = ranges, tags
    one_file.faults[NAME] = [("cut", int(share * len(content))) for share in cuts]
    one_file.sent.clear()
    assert bring(folder).read_bytes() == content
    assert left(folder) == [NAME]
    if ranges:
        assert one_file.sent[NAME] <= len(content) + len(cuts) * BLOCK, "what had come did not come again"


def test_a_connection_that_breaks_at_once_is_given_up(one_file: StandIn, tmp_path: Path) -> None:
    one_file.faults[NAME] = [("cut", 300_000), *[("cut", 0)] * 4]
    with pytest.raises(InputError, match="the connection was lost 4 times"):
        bring(tmp_path / "out")
    assert NAME not in left(tmp_path / "out")
    assert bring(tmp_path / "out").read_bytes() == one_file.content[NAME]
    assert one_file.downloads[-1].startswith(f"{NAME} bytes=2")


def test_a_stopped_download_goes_on(one_file: StandIn, tmp_path: Path) -> None:
    stop, path = Event(), tmp_path / "out" / NAME
    with pytest.raises(StoppedError):
        download(product(), path, over_api(Archive()), lambda size: stop.set() if size else None, stop)
    assert not path.exists()
    assert bring(tmp_path / "out").read_bytes() == one_file.content[NAME]
    assert one_file.downloads[-1] == f"{NAME} bytes={BLOCK}-"


@pytest.mark.parametrize("bucket", [False, True])
def test_a_full_disk_is_said_and_what_came_is_kept(one_file: StandIn, tmp_path: Path, bucket: bool) -> None:
    path, content = tmp_path / "out" / NAME, one_file.content[NAME]
    if bucket:
        copy = tmp_path / "copy" / "hst" / "public" / NAME[:4] / NAME[:9] / NAME
        copy.parent.mkdir(parents=True)
        copy.write_bytes(content)
    source = source_of(Archive(), f"file://{tmp_path}/copy" if bucket else False)
    with small_disk(600_000), pytest.raises(InputError, match=r"File too large.*; the part received is kept"):
        download(product(), path, source, lambda size: None, Event())
    assert not path.exists()
    assert 500_000 < path.with_name(f".{NAME}.part").stat().st_size <= 600_000
    download(product(), path, source, lambda size: None, Event())
    assert path.read_bytes() == content
    assert len(one_file.downloads) == (0 if bucket else 2)


def test_those_who_want_a_file_at_once_fetch_it_once(one_file: StandIn, tmp_path: Path) -> None:
    one_file.faults[NAME] = [("slow", 0.2)]
    with ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(bring, [tmp_path / "out"] * 3))
    assert {path.read_bytes() for path in paths} == {one_file.content[NAME]}
    assert one_file.downloads == [NAME]
    assert left(tmp_path / "out") == [NAME]


def test_a_killed_download_goes_on(one_file: StandIn, tmp_path: Path) -> None:
    about = {"instrument_name": "WFC3/UVIS", "filters": "F336W", "proposal_id": "16801", "t_min": 59770.0}
    one_file.observations[0] |= about
    half = len(one_file.content[NAME]) // 2
    one_file.faults[NAME] = [("hold", half)]
    command = [sys.executable, str(REPOSITORY / "download.py"), "proposal=16801", "output_dir=out", "yes=true"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder, part = tmp_path / "out" / "science", tmp_path / "out" / "science" / f".{NAME}.part"
    end = time.monotonic() + 60
    # What is buffered is lost with the process: some of it has to have come to the file.
    while not (part.exists() and part.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    one_file.released.set()
    begun = part.stat().st_size
    assert 0 < begun <= half
    assert not (folder / NAME).exists()
    assert bring(folder).read_bytes() == one_file.content[NAME]
    assert one_file.downloads[-1] == f"{NAME} bytes={begun}-"
    assert left(folder) == [NAME]


@pytest.mark.parametrize(
    ("tags", "summed", "rows"), [(True, True, 300), (False, True, 300), (False, False, 300), (False, True, 310)]
)
def test_two_versions_are_not_mixed(one_file: StandIn, tmp_path: Path, tags: bool, summed: bool, rows: int) -> None:
    """By their tags, else by their sums, else not at all."""
    one_file.tags = tags
    if not summed:
        one_file.content[NAME] = (tmp_path / "held" / NAME).read_bytes()
    first = one_file.content[NAME]
    one_file.faults[NAME] = [("cut", 100_000), *[404] * 4]
    with pytest.raises(InputError, match="does not have it"):
        bring(tmp_path / "out")
    assert (tmp_path / "out" / f".{NAME}.part").stat().st_size > 100_000 - BLOCK
    image = np.random.default_rng(4).normal(30, 3, (rows, 400))
    path = write_hst(tmp_path / "held" / NAME, [image])
    one_file.content[NAME] = with_sums(path) if summed else path.read_bytes()
    one_file.faults.clear()
    assert (len(one_file.content[NAME]) == len(first)) == (rows == 300)
    assert bring(tmp_path / "out").read_bytes() == one_file.content[NAME]


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_what_is_no_whole_file_is_not_taken(one_file: StandIn, tmp_path: Path) -> None:
    content = one_file.content[NAME]
    damaged = bytearray(content)
    damaged[20_000] ^= 1
    for body, reason in (
        (content[: len(content) // 2 + 1], "not a multiple of 2880"),
        (content[: len(content) // 5760 * 2880], "is not the end of an extension"),
        (bytes(damaged), "the data of extension 1 are not those of its DATASUM"),
        (b"<html>sorry</html>", "not a multiple of 2880"),
    ):
        one_file.faults[NAME] = [("body", body)]
        with pytest.raises(InputError, match=f"a damaged FITS file .*{reason}"):
            bring(tmp_path / "out")
        assert not {NAME, f".{NAME}.part"} & set(left(tmp_path / "out"))
    assert bring(tmp_path / "out").read_bytes() == content


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 359_999), bit=st.integers(0, 7))
def test_every_damaged_bit_of_data_is_seen(one_file: StandIn, tmp_path: Path, place: int, bit: int) -> None:
    content = bytearray(one_file.content[NAME])
    head = content.index(b"XTENSION")
    start = head + (content.index(b"END" + b" " * 77, head) - head) // 2880 * 2880 + 2880
    assert fault(tmp_path / "held" / NAME) == ""
    content[start + place] ^= 1 << bit
    (tmp_path / "damaged.fits").write_bytes(content)
    assert "DATASUM" in fault(tmp_path / "damaged.fits")


def test_what_follows_the_last_extension_is_a_fault(one_file: StandIn, tmp_path: Path) -> None:
    """Reading leaves it out with a warning; a download is to be the archive's file alone."""
    for spare in (b" " * 500, b"<html>".ljust(2880)):
        (tmp_path / "longer.fits").write_bytes(one_file.content[NAME] + spare)
        assert fault(tmp_path / "longer.fits")


def test_a_size_that_the_table_has_wrong_is_said(one_file: StandIn, run_script: Run, tmp_path: Path) -> None:
    about = {"instrument_name": "WFC3/UVIS", "filters": "F336W", "proposal_id": "16801", "t_min": 59770.0}
    one_file.observations[0] |= about
    one_file.products[0]["size"] = 1234
    result = run_script("download.py", "proposal=16801", "output_dir=out", "yes=true")
    assert result.status == 0, result.err
    size = len(one_file.content[NAME])
    assert f"{NAME}: has {size} bytes, but the archive lists 1234; it is a complete FITS file" in result.out
    assert (tmp_path / "out" / "science" / NAME).read_bytes() == one_file.content[NAME]


def test_an_old_file_stays_until_the_new_one_is_whole(one_file: StandIn, run_script: Run, tmp_path: Path) -> None:
    about = {"instrument_name": "WFC3/UVIS", "filters": "F336W", "proposal_id": "16801", "t_min": 59770.0}
    one_file.observations[0] |= about
    overrides = ("proposal=16801", "output_dir=out", "yes=true")
    assert run_script("download.py", *overrides).status == 0
    old, path = one_file.content[NAME], tmp_path / "out" / "science" / NAME
    image = np.random.default_rng(4).normal(30, 3, (310, 400))
    one_file.content[NAME] = with_sums(write_hst(tmp_path / "held" / NAME, [image]))
    one_file.faults[NAME] = [("cut", 50_000), *[401] * 4]
    result = run_script("download.py", *overrides, "overwrite=true")
    assert result.status == 1
    assert "is not public yet" in last_line(result.err)
    assert path.read_bytes() == old
    one_file.faults.clear()
    assert run_script("download.py", *overrides, "overwrite=true").status == 0
    assert path.read_bytes() == one_file.content[NAME]


TIMES = st.lists(st.floats(55000, 60000), max_size=6)


@given(times=TIMES, darks=TIMES, most=st.integers(1, 8))
def test_every_exposure_has_its_nearest_dark_first(times: list[float], darks: list[float], most: int) -> None:
    chosen = nearest_in_turn(times, darks, most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == (min(most, len(darks)) if times else 0)
    if times and darks:
        assert min(range(len(darks)), key=lambda place: abs(darks[place] - times[0])) in chosen or len(darks) > most


@given(visits=st.lists(st.sampled_from(["iabc01", "iabc02", "iabc03"]), max_size=12), most=st.integers(1, 12))
def test_a_few_exposures_are_of_many_visits(visits: list[str], most: int) -> None:
    products = [product(f"{visit}{number:02d}q_flc.fits") for number, visit in enumerate(visits)]
    taken = spread(products, most)
    assert taken == [one for one in products if one in taken]
    assert len(taken) == min(most, len(products))
    counts = {visit: sum(one.visit == visit for one in taken) for visit in set(visits)}
    for visit, count in counts.items():
        assert count == visits.count(visit) or count >= max(counts.values()) - 1
