"""What comes from somebody else can mislead, and never runs: each claim of SECURITY.md."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result

from deepcr_lightning.console.arguments import resume_overrides
from deepcr_lightning.errors import InputError
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.choice import NETWORKS
from deepcr_lightning.sweeps.grid import not_started, sweep_config
from deepcr_lightning.tiles.store import TileStore
from deepcr_lightning.training.losses import LOSSES
from deepcr_lightning.training.optimiser import OPTIMISERS


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def checkpoint(trained: Path) -> dict[str, Any]:
    return torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)


@pytest.mark.parametrize("place", ["value", "whole", "pth"])
def test_code_in_a_checkpoint_is_not_run(place: str, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    file = tmp_path / ("a.pth" if place == "pth" else "a.ckpt")
    torch.save({**checkpoint, "trap": Trap(mark)} if place == "value" else Trap(mark), file)
    with pytest.raises(InputError, match="holds pickled code, which is never executed"):
        load_model(file)
    file.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(InputError):
        load_model(file)
    assert not mark.exists()


def test_code_in_a_resumed_checkpoint_is_not_run(
    checkpoint: dict[str, Any], run_script: Callable[..., Result], tmp_path: Path
) -> None:
    file, mark = tmp_path / "run" / "checkpoints" / "last.ckpt", tmp_path / "mark"
    file.parent.mkdir(parents=True)
    torch.save({**checkpoint, "trap": Trap(mark)}, file)
    result = run_script("train.py", f"ckpt_path={file}", "data.science=x", "data.darks=y", "trainer.accelerator=cpu")
    assert (result.status, mark.exists()) == (1, False)
    assert "never executed" in result.err


HARMFUL = (
    "data._target_=os.system",
    "+callbacks.x={_target_: os.system}",
    "+callbacks={x: {y: [{_target_: os.system, _args_: [true]}]}}",
    "'+callbacks.x._target_=os.system'",
    "callbacks=/tmp/evil",
    "experiment=../../evil",
    "logger=[csv,../evil]",
    "hydra.searchpath=[file:///tmp/evil]",
    "hydra/launcher=joblib",
    "+hydra.callbacks.x._target_=os.system",
    "hydra.run.dir=/etc",
    "--config-dir=/tmp/evil",
    "-m",
    "download_dir=${oc.env:HOME}",
    "data.store_dir=${oc.decode:x}",
    "model@_global_=x",
    "a b",
)


@pytest.mark.parametrize("place", ["overrides.yaml", ".hydra/overrides.yaml"])
@pytest.mark.parametrize("text", HARMFUL)
def test_a_run_of_somebody_else_does_not_choose_code(text: str, place: str, tmp_path: Path) -> None:
    saved = tmp_path / place
    saved.parent.mkdir(exist_ok=True)
    saved.write_text(json.dumps(["data.science=/data", text]))
    resumed = f"ckpt_path={tmp_path}/checkpoints/last.ckpt"
    with pytest.raises(InputError, match="could run code") as refused:
        resume_overrides([resumed])
    assert len(str(refused.value).splitlines()) == 1
    # What the user types again is the user's.
    if "=" in text and not text.startswith(("-", "'")):
        assert text in resume_overrides([resumed, text])


def test_the_options_of_a_run_are_resumed(tmp_path: Path) -> None:
    options = [
        "experiment=f336w",
        "data.science='/data/a b/*_flc.fits'",
        "data.darks=[/d1,_d2/x]",
        "+data.balance=[camera,filter]",
        "threshold={purity: 0.95}",
        "logger=[csv,wandb]",
        "~callbacks.figures",
        "init=/models/a.ckpt",
        "download_dir=/data/down",
        "trainer.max_epochs=3",
        "augmentation=none",
        *(f"model.network={name}" for name in NETWORKS),
        *(f"model.loss={name}" for name in LOSSES),
        *(f"model.optimiser={name}" for name in OPTIMISERS),
    ]
    (tmp_path / "overrides.yaml").write_text(json.dumps(options))
    resumed = resume_overrides([f"ckpt_path={tmp_path}/checkpoints/last.ckpt"])
    assert resumed[1:-1] == options


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: *a\n",
        "x" * 11_000_000,
        "[" * 3000,
        "{a: 1}",
        "- {a: 1}",
        "- 3",
        "\x00",
        "!!python/object/apply:os.system [true]",
    ],
)
def test_a_damaged_list_of_options_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text(text)
    with pytest.raises(InputError) as refused:
        resume_overrides([f"ckpt_path={tmp_path}/checkpoints/last.ckpt"])
    assert str(tmp_path / "overrides.yaml") in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_search_of_somebody_else_does_not_choose_options(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    from deepcr_lightning.sweeps.study import ask, open_study

    known = {"model.hidden": optuna.distributions.IntDistribution(4, 8)}
    study = open_study(tmp_path, ["data.science=/data"], seed=1)
    # A trial that waits, as whoever wrote the file left it.
    more = {"+callbacks.x._target_": optuna.distributions.CategoricalDistribution(["os.system"])}
    state = optuna.trial.TrialState.WAITING
    params = {"model.hidden": 5, "+callbacks.x._target_": "os.system"}
    study.add_trial(optuna.trial.create_trial(state=state, params=params, distributions=known | more))
    _, [drawn] = ask(study, known, ["data.science=/data"], 1)
    assert drawn == ["data.science=/data", "model.hidden=5"]


def test_a_tile_store_with_pickled_arrays_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    np.savez(tmp_path / "table.npz", tile_file=np.array([Trap(mark)], object))
    info = {"tile_size": 1, "tiles": 0, "layers": []}
    (tmp_path / "store.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match=r"is damaged .*; remove it"):
        TileStore(tmp_path)
    assert not mark.exists()


def repacked(source: Path, target: Path, compression: int, change: Callable[[str, bytes], bytes]) -> Path:
    """Write a checkpoint again, record by record."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for record in old.infolist():
            new.writestr(record.filename, change(record.filename, old.read(record)))
    return target


def test_a_checkpoint_does_not_fill_the_memory(trained: Path, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    best = trained / "checkpoints" / "best.ckpt"
    packed = repacked(best, tmp_path / "packed.ckpt", zipfile.ZIP_DEFLATED, lambda name, data: data)
    with pytest.raises(InputError, match="its records are packed"):
        load_model(packed)
    checkpoint["state_dict"]["net.out.bias"] = torch.zeros(1).expand(1 << 40)
    torch.save(checkpoint, tmp_path / "wide.ckpt")
    with pytest.raises(InputError, match="larger than its numbers"):
        load_model(tmp_path / "wide.ckpt")
    checkpoint["state_dict"]["net.out.bias"] = torch.sparse_coo_tensor(size=(1 << 40,), check_invariants=True)
    torch.save(checkpoint, tmp_path / "sparse.ckpt")
    with pytest.raises(InputError, match=r"sparse\.ckpt: not a PyTorch checkpoint, or damaged"):
        load_model(tmp_path / "sparse.ckpt")


@pytest.mark.parametrize("network", [{"hidden": 100_000, "depth": 5}, {"hidden": 10**12}, {"depth": 1e300}, {"x": 1}])
def test_a_card_does_not_fill_the_memory(network: dict[str, Any], checkpoint: dict[str, Any], tmp_path: Path) -> None:
    checkpoint["deepcr_lightning"]["network"] |= network
    torch.save(checkpoint, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"do not fit the network|must be"):
        load_model(tmp_path / "a.ckpt")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value: float, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    checkpoint["state_dict"]["net.out.bias"][0] = value
    torch.save(checkpoint, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="weights are NaN or infinite"):
        load_model(tmp_path / "a.ckpt")


def test_one_bit_of_a_weight_is_noticed(trained: Path, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    data = bytearray((trained / "checkpoints" / "best.ckpt").read_bytes())
    place = data.index(checkpoint["state_dict"]["net.down.0.0.weight"].numpy().tobytes())
    data[place] ^= 1
    (tmp_path / "a.ckpt").write_bytes(data)
    with pytest.raises(InputError, match="differs from its checksum"):
        load_model(tmp_path / "a.ckpt")


ODD = {
    "threshold": [np.nan, -1, "x", None],
    "calibration": [[np.nan, 0], [1], "ab"],
    "plateau": [np.inf, -1, [1]],
    "curves": [[1], {"threshold": ["x"]}],
    "data": [{"filters": [[1]]}, {"star_widths": [1]}, {"cr_share_rate": "x"}, {"label_snr": None}, 3],
    "normalisation": [["x"], {}, 3],
    "network": [3, None],
    "run": ["ab", 3],
    "kind": ["x", []],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ODD.items() for value in values])
def test_an_odd_card_is_refused_in_a_line(key: str, value: Any, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    checkpoint["deepcr_lightning"][key] = value
    torch.save(checkpoint, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt: "):
        load_model(tmp_path / "a.ckpt")


def test_a_sweep_of_a_thousand_million_jobs_is_not_written_down(tmp_path: Path) -> None:
    grid = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
    text = "hydra:\n  sweeper: {_target_: %s}\n  overrides: {task: ['a=range(1000000000)', 'b=1,2']}\n"
    (tmp_path / "multirun.yaml").write_text(text % grid)
    config = sweep_config(tmp_path)
    assert config is not None
    assert not_started(config, []) == []
    (tmp_path / "multirun.yaml").write_text("hydra: {overrides: {task: ['=,=']}}")
    with pytest.raises(InputError, match="is not a config of a sweep"):
        sweep_config(tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("../a_flc.fits", "science"), ("/a_flc.fits", "darks"), ("a.fits", "..")])
def test_a_selection_names_no_other_place(name: str, kind: str, tmp_path: Path) -> None:
    pytest.importorskip("astroquery")
    from deepcr_lightning.archive.download_selection import remembered
    from deepcr_lightning.archive.wanted import Wanted

    wanted = Wanted(proposal="1")
    row = {"name": name, "uri": "x", "size": 1, "kind": kind, "camera": "", "filter": "", "target": "", "proposal": ""}
    place = tmp_path / "selections" / f"{wanted.label}.json"
    place.parent.mkdir()
    place.write_text(json.dumps([{**row, "start": 0.0, "exposure_time": 1.0, "public": True}]))
    with pytest.raises(InputError, match="is not a valid name for an exposure"):
        remembered(None, tmp_path, wanted, None)  # type: ignore[arg-type]


def test_no_onnx_file_is_read(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(InputError, match="not a PyTorch checkpoint"):
        load_model(tmp_path / "a.onnx")
