"""Show exposures in the browser as view.py is told to."""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import sys
import webbrowser
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from omegaconf import DictConfig

from deepcr_lightning.commands.from_config import plain
from deepcr_lightning.console.device import choose_device, refuse_half
from deepcr_lightning.console.typed import override
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.exposures.products_folder import products_folder
from deepcr_lightning.exposures.truth import ENDING
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.models.model import load_model, model_threshold
from deepcr_lightning.models.model_file import UNIVERSAL, find_model_file
from deepcr_lightning.prediction.fill import FILLS, require_biharmonic
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.scores.targets import check_target

log = logging.getLogger("view")


def view(cfg: DictConfig) -> None:
    """Serve the page as a config says, until it is interrupted."""
    for name in ("bokeh", "tornado.access"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if importlib.util.find_spec("bokeh") is None:
        raise InputError("view needs Bokeh: pip install 'deepcr-lightning[view]'")
    from deepcr_lightning.viewer.page_server import PageServer, event_loop

    with event_loop():
        server = PageServer(window_maker(cfg), cfg.port)
        log.info("%s; press Ctrl+C to stop", server.page_address)
        if cfg.browser and has_display():
            webbrowser.open(server.page_address)
        server.start()
        try:
            server.io_loop.start()
        finally:
            server.stop()


def window_maker(cfg: DictConfig) -> Callable[[Any], Any]:
    """Make what fills the document of a window that is opened.

    Parameters
    ----------
    cfg : DictConfig
        Config of ``configs/view.yaml``.

    Returns
    -------
    callable
        Function of an empty Bokeh document that puts a `viewer.window.Window` on it.

    Raises
    ------
    InputError
        If an option is wrong or there are no exposures.
    """
    from deepcr_lightning.viewer.saving import SAVED, save
    from deepcr_lightning.viewer.shelf import Shelf
    from deepcr_lightning.viewer.window import Window

    named = find_exposures("input", cfg.input)
    # Truth may lie beside the exposures.
    places = {path: place for path, place in named.items() if not path.name.endswith(ENDING)}
    if not places:
        raise InputError(f"input={cfg.input}: contains truth files only; give the exposures")
    products = [cfg.products] if isinstance(cfg.products, str) else list(cfg.products)
    _check(cfg, products, SAVED)
    if cfg.output_dir is None:
        cfg.output_dir = _made_by_predict(plain(cfg.input))
    output_dir = None if cfg.output_dir is None else Path(cfg.output_dir).expanduser()
    shelf = Shelf(
        places,
        searcher(cfg),
        output_dir,
        None if cfg.truth is None else Path(cfg.truth).expanduser(),
        ReadSettings.of(cfg),
    )
    saved = partial(
        save,
        products=products,
        fill=cfg.fill,
        dq_bit=cfg.dq_bit,
        save_probability=cfg.save_probability,
        compress=cfg.compress,
    )
    worker = ThreadPoolExecutor(1, thread_name_prefix="page")
    command = partial(apply_to_all, cfg)
    return lambda document: Window(document, shelf, saved, command, worker, cfg.fill)


def _made_by_predict(given: Any) -> str | None:
    """Folder where predict puts its products by default, if it is there."""
    with suppress(InputError):
        folder = products_folder(given)
        if folder.is_dir():
            log.info("output_dir= is not given: masks are read from and saved to %s", folder)
            return str(folder)
    return None


def _check(cfg: DictConfig, products: Sequence[str], known: Sequence[str]) -> None:
    # Before the page is up: nobody would see there what was mistyped here.
    refuse_half(cfg)
    if [name for name in products if name not in known]:
        raise InputError(f"products={products}: choose from {', '.join(known)}")
    if cfg.fill not in FILLS:
        raise InputError(f"fill={cfg.fill}: choose from {', '.join(FILLS)}")
    if cfg.fill == "biharmonic":
        require_biharmonic()
    if cfg.grow not in range(6):
        raise InputError(f"grow={cfg.grow}: must be 0 to 5 whole pixels")
    if cfg.dq_bit not in [1 << n for n in range(16)]:
        raise InputError(f"dq_bit={cfg.dq_bit}: must be a power of 2 from 1 to 32768")
    check_target(plain(cfg.threshold))
    find_model_file(cfg.ckpt_path)


def searcher(cfg: DictConfig) -> Callable[[Exposure], tuple[list[NDArray], Provenance]]:
    """Make what searches an exposure; the network is loaded when the first is searched."""
    held: list[ExposurePredictor] = []

    def search(exposure: Exposure) -> tuple[list[NDArray], Provenance]:
        if not held:
            choose_device(cfg, half=False)
            model = load_model(cfg.ckpt_path, cfg.network)
            device = "cuda" if cfg.trainer.accelerator == "gpu" else "cpu"
            predictor = ExposurePredictor(model, cfg.tile).to(device)
            held.append(predictor)
        fitting = held[0].fitting(exposure.header)
        model, precision = fitting.model, fitting.precision
        threshold = float(model_threshold(model, plain(cfg.threshold)))
        made = Provenance(model.path.name, model.sha256, threshold, int(cfg.grow), precision=precision)
        return held[0].probabilities(exposure), made

    return search


def apply_to_all(cfg: DictConfig, threshold: float, grow: int) -> str:
    """Write the command that makes masks of all exposures with a threshold and a growth.

    Parameters
    ----------
    cfg : DictConfig
    threshold : float
    grow : int

    Returns
    -------
    str
        For a shell.
    """
    given = [cfg.input] if isinstance(cfg.input, str) else list(cfg.input)
    values = [override("", path).removeprefix("=") for path in given]
    parts = ["input=" + (values[0] if isinstance(cfg.input, str) else f"[{','.join(values)}]")]
    if cfg.output_dir is not None:
        parts.append(override("output_dir", cfg.output_dir))
    if cfg.ckpt_path != UNIVERSAL:
        parts.append(override("ckpt_path", cfg.ckpt_path))
    if cfg.network is not None:
        parts.append(override("network", cfg.network))
    for name in [field.name for field in fields(ReadSettings) if cfg.get(field.name)]:
        # A number in quotes would be a text.
        parts.append(override(name, cfg[name]) if isinstance(cfg[name], str) else f"{name}={cfg[name]}")
    parts += [f"threshold={threshold:g}", f"grow={grow}"]
    return "deepcr-lightning predict " + " ".join(shlex.quote(part) for part in parts)


def has_display() -> bool:
    """Tell whether a browser with windows can be opened: without a display, Linux would open one in the terminal."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
