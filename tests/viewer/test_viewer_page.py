"""The page of view.py: its document without a browser, its server, and all of it where Chromium is installed."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from conftest import Result, composed, predict, write_truth
from omegaconf import DictConfig

pytest.importorskip("bokeh", reason="the page needs the extra view")

from bokeh.document import Document
from tornado.ioloop import IOLoop

from deepcr_lightning.commands.view import apply_to_all, view, window_maker
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.viewer.page_server import PageServer, is_from_here
from deepcr_lightning.viewer.window import Window

Run = Callable[..., Result]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


class Served:
    """A server in a thread of its own."""

    def __init__(self, make: Callable[[], PageServer]) -> None:
        ready = threading.Event()

        def serve() -> None:
            asyncio.set_event_loop(asyncio.new_event_loop())
            self.server = make()
            self.loop = IOLoop.current()
            self.server.start()
            self.loop.add_callback(ready.set)
            self.loop.start()
            self.server.stop()
            self.loop.close()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        assert ready.wait(60)
        self.address = self.server.page_address

    def stop(self) -> None:
        self.loop.add_callback(self.loop.stop)
        self.thread.join(30)


@pytest.fixture
def science(survey: Path, tmp_path: Path) -> Path:
    for n in range(2):
        name = f"ivis0{n + 1}a0q"
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(survey / "science" / f"{name}_flc.fits", tmp_path / "in")
    write_truth(tmp_path / "in" / "ivis01a0q_truth.fits", np.eye(64, 96) > 0)
    (tmp_path / "in" / "ivis03a0q_flc.fits").write_text("no image")
    return tmp_path / "in"


@pytest.fixture
def config(science: Path, trained: Path, tmp_path: Path) -> DictConfig:
    overrides = [f"ckpt_path={trained}/checkpoints/best.ckpt", f"input={science}", f"output_dir={tmp_path}/out"]
    return composed("view", [*overrides, "trainer=cpu", "threshold=0.05", "products=[mask,clean]"], tmp_path)


@pytest.fixture
def served(config: DictConfig) -> Iterator[Served]:
    made = Served(lambda: PageServer(window_maker(config)))
    yield made
    made.stop()


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
def window(config: DictConfig) -> Callable[[Document], Window]:
    return window_maker(config)


def test_a_window_without_a_browser(
    window: Callable[[Document], Window], science: Path, trained: Path, run_script: Run, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in science.iterdir()}
    client = Client(window)
    assert list(client.part("exposures").data["file"]) == [f"ivis0{n}a0q_flc.fits" for n in (1, 2, 3)]
    counts = {}
    for threshold, grow in (("0.05", 0), ("0.03", 0), ("0.03", 1)):
        client.part("threshold").value = threshold
        client.part("grow").value = grow
        client.wait_for("apply", "value", lambda text, wanted=f"threshold={threshold} grow={grow}": wanted in text)
        counts[threshold, grow] = client.flagged()
        settings = [f"threshold={threshold}", f"grow={grow}"]
        result = predict(run_script, trained, science / "ivis01a0q_flc.fits", *settings, output=f"p{threshold}{grow}")
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


def test_two_windows_and_bad_files(window: Callable[[Document], Window], science: Path) -> None:
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
    second.wait_for("status", "text", lambda text: "not saved" in text)
    second.part("command").value = "next 2"
    second.wait_for("title", "text", lambda text: "ivis02a0q" in text)
    second.part("command").value = "next 3"
    second.wait_for("status", "text", lambda text: "cannot be read as FITS" in text)
    assert "ivis02a0q" in second.part("title").text, "the last exposure stays open"
    (science / "ivis01a0q_flc.fits").unlink()
    first.part("strokes").data = {"xs": [[30.0]], "ys": [[9.0]]}
    first.wait_for("share", "text", lambda text: "by hand" in text)
    first.part("command").value = "save 2"  # the cleaned copy is made of a file that is gone
    first.wait_for("status", "text", lambda text: "cannot be written" in text or "no such file" in text.lower())


def fetch(address: str, **headers: str) -> int:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_this_machine_is_answered(served: Served) -> None:
    root = served.address.rsplit("/", 2)[0]
    assert served.address.startswith("http://127.0.0.1:")
    assert fetch(served.address) == 200
    assert fetch(served.address, Host="localhost:8888") == 200, "behind a tunnel the port is another"
    assert fetch(served.address, Host="evil.example") == 403
    assert fetch(served.address, Host="127.0.0.1.evil.example") == 403
    assert fetch(served.address, Origin="http://evil.example") == 403
    assert fetch(served.address, Origin=root) == 200
    for path in ("/", "/in/ivis01a0q_flc.fits", "/static/../../../../etc/passwd", "/wrong/"):
        assert fetch(root + path) == 404, path
    assert fetch(served.address + "static/../../../../../../etc/passwd") in (403, 404)


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("127.0.0.1:5", None, True),
        ("localhost", "http://localhost", True),
        ("localhost:8", "http://localhost:9", False),
        ("localhost:8", "null", False),
        ("", None, False),
        ("evil@127.0.0.1", None, False),
        ("[::1", None, False),
    ],
)
def test_host_and_origin(host: str, origin: str | None, expected: bool) -> None:
    assert is_from_here(host, origin) is expected


def test_the_page_shows_a_tag_of_a_header_and_runs_none(config: DictConfig, science: Path) -> None:
    for path in science.glob("ivis0[12]*_flc.fits"):
        fits.setval(path, "FILTER", value="<img src=x onerror=alert(1)>")
        fits.setval(path, "INSTRUME", value="<script>")
    shown = Client(window_maker(config)).part("title").text
    assert "<img" not in shown.lower()
    assert "<script" not in shown.lower()
    assert "&lt;IMG SRC=X" in shown


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["input=nowhere"], "input=nowhere: no such file"),
        (["input={science}/empty"], "no FITS files there"),
        (["products=[preview]"], "choose from mask, dq_copy, clean, regions"),
        (["fill=network"], "fill=network: choose from"),
        (["grow=9"], "grow=9: must be 0 to 5"),
        (["port={port}"], "port={port}: Address already in use; leave port= out"),
        (["port=99999"], "port=99999"),
        (["dq_bit=3"], "dq_bit=3: must be a power of 2"),
        (["ckpt_path=nowhere.ckpt"], "nowhere.ckpt"),
        (["threshold=1.5"], "threshold=1.5"),
    ],
)
def test_bad_input_is_one_line(science: Path, run_script: Run, overrides: list[str], message: str) -> None:
    (science / "empty").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        names = {"science": science, "port": taken.getsockname()[1]}
        given = [text.format(**names) for text in overrides]
        result = run_script("view.py", f"input={science}", "browser=false", "keep_freed_memory=false", *given)
    assert result.status == 1
    assert message.format(**names) in result.err
    assert "Traceback" not in result.err


def test_masks_that_predict_made_beside_the_input_are_found(science: Path, tmp_path: Path) -> None:
    cfg = composed("view", [f"input={science}"], tmp_path)
    window_maker(cfg)
    assert cfg.output_dir is None, "there are none: masks lie beside the exposures"
    assert "output_dir" not in apply_to_all(cfg, 0.37, 1)
    made = science.with_name(f"{science.name}_cr")
    made.mkdir()
    window_maker(cfg)
    assert cfg.output_dir == str(made)
    assert f"output_dir={made}" in apply_to_all(cfg, 0.37, 1)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"no image", "cannot be read as FITS"),
        (b"", "Empty or corrupt FITS file"),
        ("table", "holds no 2-D image"),
    ],
)
def test_a_file_that_is_no_image_is_named(
    config: DictConfig, tmp_path: Path, contents: bytes | str, message: str
) -> None:
    path = tmp_path / "odd.fits"
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    else:
        fits.BinTableHDU(np.zeros(3, [("x", "f4")])).writeto(path)
    config.input = str(path)
    client = Client(window_maker(config))
    client.wait_for("status", "text", lambda text: message in text and "odd.fits" in text)
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("display", "browser", "opened"), [("", True, False), (":0", True, True), (":0", False, False)]
)
def test_without_a_display_the_address_is_said_and_no_browser_opened(
    config: DictConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    display: str,
    browser: bool,
    opened: bool,
) -> None:
    seen: list[str] = []
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("webbrowser.open", seen.append)
    monkeypatch.setattr(PageServer, "start", lambda server: server.io_loop.add_callback(server.io_loop.stop))
    monkeypatch.setattr(PageServer, "stop", lambda server: None)
    config.browser = browser
    with caplog.at_level("INFO", logger="view"):
        view(config)
    (said,) = [record.getMessage() for record in caplog.records if "http://127.0.0.1:" in record.getMessage()]
    assert [f"{address}; Ctrl+C ends" for address in seen] == ([said] if opened else [])


def test_the_command_for_all_is_for_a_shell(tmp_path: Path) -> None:
    cfg = composed("view", ["input=[/a b/x,/c]", "output_dir=/out"], tmp_path)
    assert apply_to_all(cfg, 0.37, 1) == (
        "deepcr-lightning predict 'input=['\"'\"'/a b/x'\"'\"',/c]' output_dir=/out threshold=0.37 grow=1"
    )


def test_the_command_for_all_reads_as_the_page_does(tmp_path: Path) -> None:
    said = ["units=counts/s", "gain=1.5", "exposure_time=300", "saturation=6e4", "extensions=[im1,4]", "trim=true"]
    cfg = composed("view", ["input=/a", "output_dir=/out", *said], tmp_path)
    given = composed("predict", shlex.split(apply_to_all(cfg, 0.5, 0))[2:], tmp_path)
    expected = ReadSettings("counts/s", 1.5, 300, 6e4, ("im1", 4), trim=True)
    assert ReadSettings.of(given) == ReadSettings.of(cfg) == expected


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


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="Chromium and its driver are not installed")
@pytest.mark.slow
def test_in_a_browser(served: Served, tmp_path: Path) -> None:
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.keys import Keys

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1500,950", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))

    def ask(code: str) -> Any:
        return browser.execute_script(f"const part = name => Bokeh.documents[0].get_model_by_name(name); {code}")

    def wait(code: str) -> Any:
        for _ in range(300):
            found = ask(f"try {{ return {code} }} catch (error) {{ return null }}")
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"the page did not get to {code}")

    def flagged() -> int:
        return int(ask("return part('share').text").removeprefix("<b>").split()[0])

    def pointer(*places: tuple[float, float], press: bool = True) -> None:
        actions = ActionBuilder(browser, duration=20)
        for n, (x, y) in enumerate(places):
            code = f"""const view = Bokeh.index.find_one(part('plot')), box = view.el.getBoundingClientRect();
                return [box.left + view.frame.x_scale.compute({x}), box.top + view.frame.y_scale.compute({y})]"""
            actions.pointer_action.move_to_location(*(round(side) for side in ask(code)))
            if press and n == 0:
                actions.pointer_action.pointer_down()
        if press:
            actions.pointer_action.pointer_up()
        actions.perform()

    def keys(text: str, control: bool = False) -> None:
        chain = ActionChains(browser)
        (
            chain.key_down(Keys.CONTROL).send_keys(text).key_up(Keys.CONTROL) if control else chain.send_keys(text)
        ).perform()

    try:
        browser.get(served.address)
        wait("part('plot').x_range.end > 60 && part('share').text")
        first = flagged()
        keys(",")
        wait("part('apply').value.includes('threshold=0.04')")
        keys(",")
        wait("part('apply').value.includes('threshold=0.03')")
        lower = flagged()
        assert lower > first
        pointer((31, 12), press=False)
        assert "x 31, y 12" in wait("part('cursor').text.includes('x 31') && part('cursor').text")
        keys("p")
        pointer((10, 60), (15, 60), (15, 55))
        drawn = wait("part('share').text.includes('by hand') && part('share').text")
        pointer((40, 3))
        wait(f"part('share').text !== {drawn!r}")
        keys("z", control=True)
        wait(f"part('share').text === {drawn!r}")
        keys("2")
        wait("part('plot').renderers[1].visible && part('plot').renderers[1].data_source.data.dw[0] === 96")
        keys("1t")
        wait("part('plot').renderers[6].visible && part('plot').renderers[6].data_source.data.dw[0] === 96")
        keys("s", control=True)
        wait("part('status').text.includes('Saved')")
        wait("part('exposures').data.picture.filter(text => text).length === 2")
        mask = fits.getdata(tmp_path / "out" / "ivis01a0q_crmask.fits", "CRMASK")
        assert mask[59, 9:15].all()
        assert mask[54:60, 14].all()
        assert mask.sum() == flagged() >= lower
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        browser.save_screenshot(str(tmp_path / "page.png"))
    finally:
        browser.quit()
