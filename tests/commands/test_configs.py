from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
from conftest import REPOSITORY, composed
from hydra.utils import instantiate

CONFIGS = REPOSITORY / "configs"
CHOICES = [
    f"{group.name}={option.stem}"
    for group in sorted(CONFIGS.iterdir())
    if group.is_dir()
    for option in sorted(group.glob("*.yaml"))
]


def test_there_is_one_of_each() -> None:
    filters = ("225w", "275w", "336w", "390w", "438w", "475w", "555w", "606w", "814w", "350lp")
    experiments = ["demo", "universal", *(f"f{name}" for name in filters)]
    loggers, trainers = ["csv", "wandb", "tensorboard", "none"], ["cpu", "gpu", "ddp"]
    for group, names in (("experiment", experiments), ("logger", loggers), ("trainer", trainers), ("debug", ["fdr"])):
        assert {f"{group}={name}" for name in names} <= set(CHOICES)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_instantiates(choice: str, tmp_path: Path) -> None:
    cfg = composed("train", [choice], tmp_path)
    data, model = instantiate(cfg.data, _convert_="all"), instantiate(cfg.model, _convert_="all")
    callbacks = [instantiate(c, _convert_="all") for c in cfg.callbacks.values()]
    loggers = [instantiate(c, _convert_="all") for c in cfg.logger.values()]
    assert isinstance(data, pl.LightningDataModule)
    assert isinstance(model, pl.LightningModule)
    assert all(isinstance(callback, pl.Callback) for callback in callbacks)
    assert bool(loggers) == (choice != "logger=none")
    # The machine of a test has no GPU: the trainer's options are tried on its CPU.
    on_cpu = {"accelerator": "cpu", "devices": 1, "logger": False, "callbacks": callbacks}
    assert isinstance(instantiate(cfg.trainer, **on_cpu, _convert_="all"), pl.Trainer)


@pytest.mark.parametrize("experiment", [choice for choice in CHOICES if choice.startswith("experiment=f")])
def test_filter_experiments_take_their_filter(experiment: str, tmp_path: Path) -> None:
    cfg = composed("train", [experiment], tmp_path)
    assert [f"experiment={name.lower()}" for name in cfg.data.filters] == [experiment]


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice.startswith("experiment=")])
def test_experiments_open_with_the_command_and_what_to_expect(choice: str) -> None:
    lines = (CONFIGS / f"{choice.replace('=', '/')}.yaml").read_text().splitlines()
    comments = [line for line in lines if line.startswith("# ")]
    assert choice in comments[2] or "make demo" in comments[2]
    fills = choice in ("experiment=inpaint", "experiment=universal_filler")
    assert ("square error" if fills else "average precision") in " ".join(comments).replace(" # ", " ")


@pytest.mark.parametrize("trainer", ["cpu", "gpu"])
def test_prediction_composes(trainer: str, tmp_path: Path) -> None:
    cfg = composed("predict", [f"trainer={trainer}", "products=[mask,clean]", "threshold=0.3"], tmp_path)
    assert cfg.products == ["mask", "clean"]
    assert cfg.trainer.accelerator == trainer
