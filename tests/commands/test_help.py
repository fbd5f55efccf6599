"""The help of the console command, and the page of options that is made of it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Result, composed
from omegaconf import OmegaConf

import deepcr_lightning
from deepcr_lightning.__main__ import COMMANDS, CONFIGURED
from deepcr_lightning.__main__ import PLAIN as WITH_FLAGS
from deepcr_lightning.console.help_page import help_page
from deepcr_lightning.console.options import read_command

Run = Callable[..., Result]


def test_help_lists_the_commands_each_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["deepcr-lightning", "--help"])
    deepcr_lightning.__main__.main()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in COMMANDS:
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.split(None, 1)[1][0].isupper()
    assert set(WITH_FLAGS) | set(CONFIGURED) == set(COMMANDS)


def leaves(node: dict, prefix: str = "") -> Iterator[str]:
    """Name the options of a composed config that follow no other and are no names of classes."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif not str(key).startswith("_") and not str(value).startswith("${"):
            yield f"{prefix}{key}"


@pytest.mark.parametrize("name", CONFIGURED)
def test_help_explains_every_option_and_group_that_a_command_takes(name: str, tmp_path: Path) -> None:
    page = help_page(name)
    assert max(len(line) for line in page.splitlines()) <= 80
    cfg: Any = OmegaConf.to_container(composed(name, [], tmp_path), resolve=False)
    del cfg["hydra"]
    command = read_command(name)
    shown = {option.name for part in command.parts.values() for option in part}
    shown |= {option.name for group in command.groups for option in group.own_options()}
    groups = {group.name for group in command.groups}
    assert set(leaves(cfg)) - {name for name in groups if cfg.get(name, 0) is None} <= shown
    for option in [one for part in command.parts.values() for one in part]:
        assert option.sentence.endswith((".", "...")), option
        assert option.sentence[0].isupper() or option.sentence.startswith(("{", "flc", "near")), option
        assert f"  {option.name}={option.default}"[:60] in page
    for group in command.groups:
        assert group.choices, group.name
        for choice, sentence in group.choices.items():
            assert sentence.endswith("."), (group.name, choice)
            assert f"  {choice} " in page
        for option in group.own_options():
            assert option.sentence.endswith((".", "...")), option


def test_help_names_every_choice_that_an_option_has() -> None:
    from deepcr_lightning.archive import wanted
    from deepcr_lightning.batches.bank import CACHES
    from deepcr_lightning.evaluation.peers import PEERS
    from deepcr_lightning.exposures.product_names import PRODUCTS
    from deepcr_lightning.exposures.units import UNITS
    from deepcr_lightning.networks.scale import SCALES
    from deepcr_lightning.networks.unet import NORMS
    from deepcr_lightning.prediction.fill import FILLS, NETWORK
    from deepcr_lightning.training.losses import LOSSES
    from deepcr_lightning.training.optimiser import SCHEDULES
    from deepcr_lightning.viewer.saving import SAVED

    tables: dict[tuple[str, str], Any] = {
        ("predict", "products"): PRODUCTS,
        ("predict", "fill"): [*FILLS, NETWORK],
        ("predict", "units"): UNITS,
        ("evaluate", "peers"): PEERS,
        ("view", "products"): SAVED,
        ("view", "fill"): FILLS,
        ("download", "camera"): wanted.CAMERAS,
        ("download", "product"): wanted.PRODUCTS,
        ("train", "data.cache"): CACHES,
        ("train", "data.units"): UNITS,
        ("train", "data.normalisation"): SCALES,
        ("train", "model.norm"): NORMS,
        ("train", "model.schedule"): SCHEDULES,
    }
    for (name, wanted_option), choices in tables.items():
        command = read_command(name)
        options = [option for part in command.parts.values() for option in part]
        options += [option for group in command.groups for option in group.own_options()]
        (option,) = [one for one in options if one.name == wanted_option]
        assert [choice for choice in choices if choice not in option.sentence] == [], option
    (loss,) = [group for group in read_command("train").groups if group.name == "loss"]
    assert set(loss.choices) == set(LOSSES)


def test_help_lists_no_group_that_a_command_refuses(run_script: Run) -> None:
    page = run_script("predict", "--help").out
    assert "trainer=auto" in page
    for group in ("experiment", "loss", "augmentation", "model=", "hparams_search"):
        assert f"\n{group}" not in page
        name = group.strip("=")
        refused = run_script("predict", "input=x", f"{name}=universal")
        assert refused.status == 1
        assert f"{name}=universal: there is no option {name};" in refused.err
    script = run_script("predict.py", "--help")
    assert (script.status, script.out) == (0, page)


def test_the_page_of_options_is_current() -> None:
    write = runpy.run_path(str(REPOSITORY / "docs" / "write_options.py"))
    assert write["PAGE"].read_text() == write["page"](), "run python docs/write_options.py"
