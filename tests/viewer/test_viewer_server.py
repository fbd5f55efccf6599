"""The server of view.py, and the page in a browser where Chromium is installed."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from omegaconf import DictConfig

pytest.importorskip("bokeh", reason="the page needs the extra view")

from tornado.ioloop import IOLoop

from deepcr_lightning.commands.view import window_maker
from deepcr_lightning.viewer.page_server import PageServer, event_loop, is_from_here

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


class Served:
    """A server in a thread of its own."""

    def __init__(self, make: Callable[[], PageServer]) -> None:
        ready = threading.Event()

        def serve() -> None:
            with event_loop():
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
def served(view_config: DictConfig) -> Iterator[Served]:
    made = Served(lambda: PageServer(window_maker(view_config)))
    yield made
    made.stop()


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
