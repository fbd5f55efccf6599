"""Table and figure out of the folder of a sweep."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from deepcr_lightning.atomic import remove_partials
from deepcr_lightning.console.printable import printable
from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps.grid import not_started
from deepcr_lightning.sweeps.result import RUNNING, Result, best_of, read_results, swept_options
from deepcr_lightning.sweeps.sweep_figure import plot_sweep
from deepcr_lightning.sweeps.table import show_table, write_table

TABLE, FIGURE = "sweep.csv", "sweep.png"


def collect(folder: Path, config: DictConfig | None = None) -> list[Result]:
    """Write ``sweep.csv`` and ``sweep.png`` of a sweep, and print the table.

    Parameters
    ----------
    folder : Path
        Folder of the sweep.
    config : DictConfig, optional
        Config of the sweep, with ``hydra``: jobs that never started are named, too.

    Returns
    -------
    list of Result
        In the order of their numbers. The figure is left out where no two scores are there to compare.

    Raises
    ------
    InputError
        If the folder holds no job, or cannot be written.
    """
    remove_partials(folder)
    results = read_results(folder)
    if config is not None:
        results = sorted([*results, *not_started(config, results)], key=lambda result: result.job.zfill(9))
    if not results:
        raise InputError(f"{folder}: contains no job of a sweep; give the hydra.sweep.dir of one")
    write_table(folder / TABLE, results)
    print(printable(show_table(results)))
    print(f"Table: {folder / TABLE}")
    if best_of(results) is not None and swept_options(results):
        plot_sweep(folder / FIGURE, results)
        print(f"Figure: {folder / FIGURE}")
    if any(result.status == RUNNING for result in results):
        print(f"Some jobs are still running; when they have ended: python -m deepcr_lightning.sweeps {folder}")
    return results
