"""The page of view.py: its document without a browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from conftest import Result, composed, predict
from omegaconf import DictConfig

pytest.importorskip("bokeh", reason="the page needs the extra view")

from bokeh.document import Document

from deepcr_lightning.commands.view import window_maker
from deepcr_lightning.viewer.window import Window

Run = Callable[..., Result]


class Client:
    """A window without server and browser: whatever waits for the next tick is run here."""

    def __init__(self, window: Callable[[Document], Window]) -> None:
        self.document = Document()
        self.window = window(self.document)
        self.wait_for("status", "text", lambda text: text and "Reading" not in text)

    def part(self, name: str) -> Any:
        return self.document.get_model_by_name(name)

    def wait_for(self, name: str, attribute: str, holds: Callable[[Any], Any]) -> None:
        for _ in range(500):
            for waiting in list(self.document.session_callbacks):
                self.document.remove_next_tick_callback(waiting)
                waiting.callback()
            if holds(getattr(self.part(name), attribute)) and not self.document.session_callbacks:
                return
            time.sleep(0.02)
        raise AssertionError(f"{name}.{attribute} is {getattr(self.part(name), attribute)!r}")

    def flagged(self) -> int:
        return int(self.part("share").text.removeprefix("<b>").split()[0])


@pytest.fixture
def window(view_config: DictConfig) -> Callable[[Document], Window]:
    return window_maker(view_config)


def test_a_window_without_a_browser(
    window: Callable[[Document], Window], viewed: Path, trained: Path, run_script: Run, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in viewed.iterdir()}
    client = Client(window)
    assert list(client.part("exposures").data["file"]) == [f"ivis0{n}a0q_flc.fits" for n in (1, 2, 3)]
    counts = {}
    for threshold, grow in (("0.05", 0), ("0.03", 0), ("0.03", 1)):
        client.part("threshold").value = threshold
        client.part("grow").value = grow
        client.wait_for("apply", "value", lambda text, wanted=f"threshold={threshold} grow={grow}": wanted in text)
        counts[threshold, grow] = client.flagged()
        settings = [f"threshold={threshold}", f"grow={grow}"]
        result = predict(run_script, trained, viewed / "ivis01a0q_flc.fits", *settings, output=f"p{threshold}{grow}")
        assert result.status == 0
        made = fits.getdata(tmp_path / f"p{threshold}{grow}" / "ivis01a0q_crmask.fits", "CRMASK")
        assert client.flagged() == made.sum()
    assert len(set(counts.values())) == 3
    client.part("mode").active = 1
    client.part("strokes").data = {"xs": [[10.0, 14.0]], "ys": [[60.0, 60.0]]}
    client.wait_for("share", "text", lambda text: "by hand" in text)
    drawn = client.flagged()
    client.part("command").value = "undo 1"
    client.wait_for("share", "text", lambda text: "by hand" not in text)
    assert client.flagged() == counts["0.03", 1]
    client.part("strokes").data = {"xs": [[10.0, 14.0]], "ys": [[60.0, 60.0]]}
    client.wait_for("share", "text", lambda text: "by hand" in text)
    client.part("command").value = "save 2"
    client.wait_for("status", "text", lambda text: "Saved" in text)
    with fits.open(tmp_path / "out" / "ivis01a0q_crmask.fits") as hdus:
        assert hdus["CRMASK"].data[59, 9:14].all()
        assert hdus["CRMASK"].data.sum() == drawn
        assert hdus[0].header["DCRADD"] == drawn - counts["0.03", 1]
    assert (tmp_path / "out" / "ivis01a0q_crclean.fits").exists()
    assert client.part("exposures").data["flagged"][0].endswith("%")
    assert {path: path.read_bytes() for path in before} == before


def test_two_windows_and_bad_files(window: Callable[[Document], Window], viewed: Path) -> None:
    first, second = Client(window), Client(window)
    for client in (first, second):
        client.part("mode").active = 1
        client.part("strokes").data = {"xs": [[20.0, 21.0]], "ys": [[9.0, 9.0]]}
        client.wait_for("share", "text", lambda text: "by hand" in text)
    first.part("command").value = "save 1"
    first.wait_for("status", "text", lambda text: "Saved" in text)
    second.part("command").value = "save 1"
    second.wait_for("status", "text", lambda text: "was changed since this window read it" in text)
    # What was mended is not lost by a slip of the hand, and is when the user insists.
    second.part("command").value = "next 1"
    second.wait_for("status", "text", lambda text: "unsaved changes" in text)
    second.part("command").value = "next 2"
    second.wait_for("title", "text", lambda text: "ivis02a0q" in text)
    second.part("command").value = "next 3"
    second.wait_for("status", "text", lambda text: "cannot be read as FITS" in text)
    assert "ivis02a0q" in second.part("title").text, "the last exposure stays open"
    (viewed / "ivis01a0q_flc.fits").unlink()
    first.part("strokes").data = {"xs": [[30.0]], "ys": [[9.0]]}
    first.wait_for("share", "text", lambda text: "by hand" in text)
    first.part("command").value = "save 2"  # the cleaned copy is made of a file that is gone
    first.wait_for("status", "text", lambda text: "cannot be written" in text or "no such file" in text.lower())


def test_the_page_shows_a_tag_of_a_header_and_runs_none(view_config: DictConfig, viewed: Path) -> None:
    for path in viewed.glob("ivis0[12]*_flc.fits"):
        fits.setval(path, "FILTER", value="<img src=x onerror=alert(1)>")
        fits.setval(path, "INSTRUME", value="<script>")
    shown = Client(window_maker(view_config)).part("title").text
    assert "<img" not in shown.lower()
    assert "<script" not in shown.lower()
    assert "&lt;IMG SRC=X" in shown


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"no image", "cannot be read as FITS"),
        (b"", "Empty or corrupt FITS file"),
        ("table", "contains no 2-D image"),
    ],
)
def test_a_file_that_is_no_image_is_named(
    view_config: DictConfig, tmp_path: Path, contents: bytes | str, message: str
) -> None:
    path = tmp_path / "odd.fits"
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    else:
        fits.BinTableHDU(np.zeros(3, [("x", "f4")])).writeto(path)
    view_config.input = str(path)
    client = Client(window_maker(view_config))
    client.wait_for("status", "text", lambda text: message in text and "odd.fits" in text)
    assert not list(tmp_path.glob("out/*"))


def test_an_image_that_says_nothing_of_itself(trained: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(2).normal(60, 8, (40, 50)).astype(np.float32)
    image[20, 20:26] = 900
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(values, name=f"IM{n}") for n, values in enumerate((image, image[:30])))]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    given = [f"ckpt_path={trained}/checkpoints/best.ckpt", f"input={tmp_path}/a.fits", "trainer=cpu", "threshold=0.05"]
    said = ["units=counts", "gain=2", "saturation=800", "extensions=IM1"]
    client = Client(window_maker(composed("view", [*given, *said], tmp_path)))
    assert client.part("title").text.endswith("a.fits</b> &nbsp; NONE NONE")
    [chip] = client.window.opened.exposure.chips
    np.testing.assert_array_equal(chip.saturated, image[:30] >= 800)
    np.testing.assert_allclose(chip.electrons, 2 * image[:30], rtol=1e-6)
