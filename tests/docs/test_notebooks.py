"""The notebooks run: their cells one after the other, commands included, on what they simulate."""

from __future__ import annotations

import json
import runpy
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import REPOSITORY, call_script

NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))
FAST = {
    "deepcr_lightning.simulation": ["--size", "192", "192"],
    "train.py": ["trainer.max_epochs=1", "data.tiles_per_epoch=32", "model.hidden=4", "trainer.accelerator=cpu"],
    "predict.py": ["trainer.accelerator=cpu"],
    "threshold.py": ["thresholds=[0.5,0.9]"],
}
"""What is added to commands: the readers' machine has more time."""


def run_command(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Run a command of a notebook, a script or a module, in this process."""
    program, name, *arguments = shlex.split(line)
    assert program == "python"
    if name == "-m":
        module, *arguments = arguments
        monkeypatch.setattr(sys, "argv", [module, *arguments, *FAST[module]])
        monkeypatch.delitem(sys.modules, f"{module}.__main__", raising=False)
        with pytest.raises(SystemExit) as stop:
            runpy.run_module(module, run_name="__main__")
        assert not stop.value.code
        return
    faster = [*FAST.get(name, []), "keep_freed_memory=false"]
    assert call_script(monkeypatch, Path.cwd(), name, *arguments, *faster) == 0


def code_of(cell: str) -> str:
    """The Python of a cell; one for the shell becomes a call for each of its commands."""
    if not cell.startswith("%%bash\n"):
        return cell
    commands = cell.replace("\\\n", "").splitlines()[1:]
    return "\n".join(f"command({line!r})" for line in commands)


@pytest.mark.skipif(find_spec("IPython") is None, reason="IPython is not installed (deepcr-lightning[docs])")
@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    # A notebook steps up to the top of the checkout, where its files shall not lie.
    (tmp_path / "docs" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "docs" / "notebooks")
    plt.switch_backend("agg")
    names = {"command": lambda line: run_command(monkeypatch, line)}
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    for number, cell in enumerate(cells):
        exec(compile(code_of("".join(cell["source"])), f"{notebook.name}, cell {number}", "exec"), names)
    plt.close("all")


def test_there_are_three_notebooks() -> None:
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_without_errors(notebook: Path) -> None:
    assert notebook.stat().st_size < 600_000
    cells = json.loads(notebook.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert str(REPOSITORY) not in notebook.read_text()
