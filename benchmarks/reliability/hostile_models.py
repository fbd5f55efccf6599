"""Damaged and hostile checkpoints, weights, tables, JSON, YAML and databases: a line of refusal, or what was there.

    python benchmarks/reliability/hostile_models.py [--count 700] [--seed 1] [--json FILE]

Two of three cases are models. One that is read has to hold the very weights of the original: a damaged model gives a
wrong mask without a word.
"""

from __future__ import annotations

import io
import json
import pickle
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from campaign import Tally, options, until
from watched import watch

from deepcr_lightning.archive.download_record import Downloads
from deepcr_lightning.console.resumed import saved_overrides
from deepcr_lightning.labels.groups import read_groups
from deepcr_lightning.models.card import FinderCard
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.prediction.summary import CLEANED, Row, Summary
from deepcr_lightning.sweeps.grid import not_started, sweep_config
from deepcr_lightning.sweeps.result import RUNNING, Result, read_result, write_result
from deepcr_lightning.sweeps.study import ask, naming_errors, open_study, settle
from deepcr_lightning.thresholds.good_stars import Cuts, choose_cuts


def main(arguments: list[str] | None = None) -> int:
    """Try as many files as asked for; give the number of faults."""
    chosen = options(__doc__, 700).parse_args(arguments)
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        torch.manual_seed(0)
        net = UNet(2, 4).eval()
        whole, weights = checkpoint(net), net.state_dict()
        for number in until(chosen.minutes, chosen.count):
            rng = np.random.default_rng([chosen.seed, number])
            case = Path(name) / str(number)
            case.mkdir()
            if number % 3 < 2:
                kind = str(rng.choice(["bytes", "values", "code"]))
                file = case / ("a.pth" if rng.random() < 0.2 else "a.ckpt")
                file.write_bytes(BROKEN[kind](whole, rng, case))
                outcome = watch(partial(read_model, file, weights, case), file.name)
                tally.add(f"model, {kind}", f"seed {chosen.seed}, case {number}", outcome)
            else:
                kind = str(rng.choice(list(TEXTS)))
                outcome = watch(partial(TEXTS[kind], case, rng))
                tally.add(kind, f"seed {chosen.seed}, case {number}", outcome)
    return tally.publish(chosen.json)


def checkpoint(net: UNet) -> dict[str, Any]:
    """Make the values of a checkpoint."""
    card = FinderCard(network={"depth": 2, "hidden": 4, "norm": "none"}, threshold=0.4, curves={"threshold": [0.1]})
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    return {"state_dict": weights, DESCRIPTION_KEY: card.to_plain(), "epoch": 3}


def read_model(file: Path, weights: Mapping[str, torch.Tensor], case: Path) -> None:
    """Read a model; where it can be read its weights are those of the original, and no code has run."""
    try:
        model = load_model(file)
        found = model.net.state_dict()
        assert 0 <= model.threshold <= 1, f"a threshold of {model.threshold}"
        scale, shift = model.card.calibration
        for name, value in weights.items():
            last = name.startswith("out.")
            wanted = scale * value + (shift if name == "out.bias" else 0) if last else value
            assert torch.equal(found[name], wanted), f"{name} has another value"
    finally:
        assert not (case / "mark").exists(), "code has run"


def saved(values: object) -> bytes:
    """Write values as PyTorch does."""
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def _bytes(whole: dict[str, Any], rng: np.random.Generator, case: Path) -> bytes:
    del case
    data = bytearray(saved(whole))
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(data[: int(rng.integers(len(data)))] if rng.random() < 0.2 else data)


ODD = (None, -1, 0, 1e300, float("nan"), 10**12, "x", "", [], {}, [[1]], True, 2**70)


def _values(whole: dict[str, Any], rng: np.random.Generator, case: Path) -> bytes:
    """Change a value of the card; the weights stay."""
    del case
    card = json.loads(json.dumps(whole[DESCRIPTION_KEY]))
    place = card
    while True:
        key = rng.choice(list(place))
        if not isinstance(place[key], dict) or not place[key] or rng.random() < 0.3:
            break
        place = place[key]
    place[key] = ODD[int(rng.integers(len(ODD)))]
    return saved({**whole, DESCRIPTION_KEY: card})


class _Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def _code(whole: dict[str, Any], rng: np.random.Generator, case: Path) -> bytes:
    trap = _Trap(case / "mark")
    values = [{**whole, "trap": trap}, trap, {**whole, DESCRIPTION_KEY: trap}, {trap.mark.name: [trap]}]
    drawn = values[int(rng.integers(len(values)))]
    return pickle.dumps(drawn) if rng.random() < 0.3 else saved(drawn)


BROKEN: Mapping[str, Callable[[dict[str, Any], np.random.Generator, Path], bytes]] = {
    "bytes": _bytes,
    "values": _values,
    "code": _code,
}


def mutated(text: str, rng: np.random.Generator) -> bytes:
    """Change a text: bytes, parts that nest or repeat, or words that mean something."""
    data = bytearray(text.encode())
    words = [
        b"[" * 3000,
        b"{" * 3000,
        b"&a [*a]",
        b"*a",
        b"!!python/object/apply:os.system [true]",
        b"\x00",
        b"\xff\xfe",
    ]
    words += [b'"', b"'", b"\n", b",", b"${oc.env:HOME}", b"_target_", b"1e999", b"NaN", b"- ", b"9" * 5000, b": "]
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(data) + 1))
        kind = rng.integers(3)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[place : place + int(rng.integers(1, 20))]
        else:
            data[place:place] = words[int(rng.integers(len(words)))]
    return bytes(data)


def _summary(case: Path, rng: np.random.Generator) -> None:
    table = Summary(case)
    table.add(Row("/a/b.fits", CLEANED, "F336W", 1.0, 2.0, 0.1, 0.1))
    table.path.write_bytes(mutated(table.path.read_text(), rng))
    Summary(case).add(Row("/a/c.fits", CLEANED))
    assert "/a/c.fits" in {row.file for row in Summary(case).tidy()}, "a row is lost"


def _downloads(case: Path, rng: np.random.Generator) -> None:
    (case / "download.csv").write_bytes(
        mutated(
            "file,uri,size,sha256,date,camera,filter,exposure_time,target,proposal,observed\na,b,3,c,d,e,f,1,g,h,i\n",
            rng,
        )
    )
    Downloads(case).rows()


def _result(case: Path, rng: np.random.Generator) -> None:
    write_result(case, Result("0", RUNNING, ["a=1"], {"val/loss": 1.0}))
    (case / "result.json").write_bytes(mutated((case / "result.json").read_text(), rng))
    read_result(case)


def _overrides(case: Path, rng: np.random.Generator) -> None:
    (case / "overrides.yaml").write_bytes(mutated("- data.science=/a\n- model.depth=2\n- logger=[csv]\n", rng))
    for text in saved_overrides(case / "overrides.yaml", []):
        assert "_target_" not in text, text
        assert "${" not in text, text


def _sweep(case: Path, rng: np.random.Generator) -> None:
    text = "hydra:\n  sweeper: {_target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper, params: {}}\n"
    text += "  overrides: {task: ['a=range(9)', 'b=1,2']}\n"
    (case / "multirun.yaml").write_bytes(mutated(text, rng))
    config = sweep_config(case)
    if config is not None:
        not_started(config, [])


def _cuts(case: Path, rng: np.random.Generator) -> None:
    (case / "cuts.yaml").write_bytes(mutated("signal_to_noise: 4\ncrowding: 1.0\n", rng))
    assert isinstance(choose_cuts(case / "cuts.yaml", ""), Cuts)


def _groups(case: Path, rng: np.random.Generator) -> None:
    (case / "groups.txt").write_bytes(mutated("a_flc.fits g1\nb_flc.fits g1 # x\n", rng))
    read_groups(case / "groups.txt")


def _study(case: Path, rng: np.random.Generator) -> None:
    space = {"model.hidden": optuna.distributions.IntDistribution(4, 8)}
    ask(open_study(case, ["data.science=/a"], 1), space, ["data.science=/a"], 2)
    data = bytearray((case / "study.db").read_bytes())
    for place in rng.integers(len(data), size=int(rng.integers(1, 60))):
        data[place] ^= 1 << int(rng.integers(8))
    (case / "study.db").write_bytes(data[: int(rng.integers(len(data)))] if rng.random() < 0.1 else data)
    with naming_errors(case):
        study = open_study(case, ["data.science=/a"], 1)
        settle(study, case)
        _, [drawn] = ask(study, space, ["data.science=/a"], 1)
    assert [text.partition("=")[0] for text in drawn] == ["data.science", "model.hidden"], drawn


TEXTS: Mapping[str, Callable[[Path, np.random.Generator], None]] = {
    "summary.csv": _summary,
    "download.csv": _downloads,
    "result.json": _result,
    "overrides.yaml": _overrides,
    "multirun.yaml": _sweep,
    "cuts": _cuts,
    "groups": _groups,
    "study.db": _study,
}


if __name__ == "__main__":
    sys.exit(bool(main()))
