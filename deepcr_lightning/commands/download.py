"""Download exposures and darks as download.py is told to."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.archive.darks import NEAR, DarkWishes
from deepcr_lightning.archive.download_selection import in_all, require_room, select, table, total_bytes
from deepcr_lightning.archive.fetch import fetch, to_fetch
from deepcr_lightning.archive.product import Product
from deepcr_lightning.archive.server import TOKEN, Archive
from deepcr_lightning.archive.sources import source_of
from deepcr_lightning.archive.wanted import wanted_by
from deepcr_lightning.console.arguments import fail
from deepcr_lightning.console.printable import printable
from deepcr_lightning.errors import InputError

log = logging.getLogger("download")


def download(cfg: DictConfig) -> None:
    """Download what a config wants; exit with status 1 if a file did not come."""
    if cfg.workers < 1:
        raise InputError(f"workers={cfg.workers}: must be 1 or more")
    options: Any = OmegaConf.to_container(cfg)
    wanted, darks = wanted_by(options), dark_wishes(options)
    folder = Path(cfg.output_dir).expanduser()
    archive = Archive()
    source = source_of(archive, cfg.cloud)
    products = select(archive, wanted, darks)
    print(printable(table(products)))
    missing = to_fetch(products, folder, cfg.overwrite)
    hidden = [one for one in missing if not one.public]
    if hidden and not archive.authorised:
        log.warning(
            "%d of them are not public yet and cannot be downloaded; set %s if they are yours", len(hidden), TOKEN
        )
    require_room(folder, total_bytes(missing))
    if missing and not cfg.yes and not _agreed(missing):
        log.info("Nothing was downloaded")
        return
    outcome = fetch(products, folder, source, cfg.workers, cfg.overwrite)
    kept = f", {len(outcome.kept)} were there before" if outcome.kept else ""
    log.info("%d files were downloaded%s; all are in %s", len(outcome.came), kept, folder)
    if outcome.failures:
        lines = "\n".join(f"  {reason}" for reason in outcome.failures)
        fail(f"{len(outcome.failures)} of {len(products)} files could not be downloaded:\n{lines}")


def dark_wishes(options: dict[str, Any]) -> DarkWishes | None:
    """Make sense of ``darks``, ``dark_days`` and ``max_darks``."""
    darks = options["darks"]
    if darks is None:
        return None
    return DarkWishes(None if darks == NEAR else str(darks), float(options["dark_days"]), int(options["max_darks"]))


def _agreed(products: list[Product]) -> bool:
    if not sys.stdin.isatty():
        raise InputError(f"{in_all(products)}: there is no terminal to ask whether to download them; add yes=true")
    return input(f"Download {in_all(products)}? [y/N] ").strip().lower() in ("y", "yes")
