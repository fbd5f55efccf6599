"""How fast the page of `deepcr-lightning view` draws a full 2051 x 4096 chip, in headless Chromium.

    python benchmarks/view_speed.py [--json FILE]

Simulates one exposure of two chips in a crowded field, masks it with the universal model, and opens the page on both.
Medians, from the outside: another chip until it is drawn, another layer until it is visible, another threshold until
the mask has its new count; and once the page until its first chip is there. The peer is the two seconds of patience.
Chromium and its driver are looked for on the PATH.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from report import Row, parser, publish
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.remote.webdriver import WebDriver

WANTED = 2.0
_TIMES = 7
# Sum over some pixels of the picture that is shown, so that another picture has another.
_PICTURE = (
    "part('plot').renderers[0].data_source.data.image[0].filter((_, n) => n % 997 === 0).reduce((a, b) => a + b, 0)"
)
_PART = "const part = name => Bokeh.documents[0].get_model_by_name(name);"


def main() -> None:
    """Run the command line."""
    options = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command(
            "simulate", folder / "sim", "--filters", "F606W", "--fields", "cluster", "--exposures", "1", "--darks", "0"
        )
        given = (f"input={folder}/sim/science", f"output_dir={folder}/masks")
        command("predict", *given, "save_probability=true")
        page = subprocess.Popen(
            [sys.executable, "-m", "deepcr_lightning", "view", *given, "--no-browser"],
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert page.stdout is not None
            line = next(line for line in page.stdout if "http://" in line)
            seconds = measured("http://" + line.partition("http://")[2].partition(";")[0].split()[0])
        finally:
            page.terminate()
    publish(
        [Row(what, value, "s", "what was wanted", WANTED, WANTED / value) for what, value in seconds.items()],
        options.json,
    )


def command(*arguments: object) -> None:
    """Run a command of the package, and stop if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "deepcr_lightning", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout[-500:] + done.stderr[-1000:])


def measured(address: str) -> dict[str, float]:
    """Open the page in a browser and measure it."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1500,950", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        begun = time.monotonic()
        browser.get(address)
        until(browser, "part('plot').x_range.end > 60 && part('share').text")
        opened = time.monotonic() - begun
        flip = "part('chips').active = 1 - part('chips').active"
        return {
            "the page, until its first chip": opened,
            "another chip": timed(browser, lambda: browser.execute_script(f"{_PART} {flip}"), _PICTURE),
            "another layer": timed(
                browser, lambda: keys(browser, " "), "part('plot').renderers.map(one => one.visible).join()"
            ),
            "another threshold": timed(browser, lambda: keys(browser, ","), "part('share').text"),
        }
    finally:
        browser.quit()


def timed(browser: WebDriver, act: Callable[[], None], shows: str) -> float:
    """Median seconds from an act until what is shown has changed and a frame was drawn; the first is no sample."""
    samples = []
    for _ in range(_TIMES + 1):
        before = browser.execute_script(f"{_PART} return {shows}")
        begun = time.monotonic()
        act()
        until(browser, f"{shows} !== {before!r}")
        browser.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        )
        samples.append(time.monotonic() - begun)
    return median(samples[1:])


def until(browser: WebDriver, code: str) -> None:
    """Wait until an expression is true."""
    for _ in range(3000):
        if browser.execute_script(f"{_PART} try {{ return {code} }} catch (error) {{ return null }}"):
            return
        time.sleep(0.01)
    raise SystemExit(f"the page did not get to {code}")


def keys(browser: WebDriver, text: str) -> None:
    """Type."""
    ActionChains(browser).send_keys(text).perform()


if __name__ == "__main__":
    main()
