"""What is wrong with a network, loss or optimiser of one's own is said before anything is read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deepcr_lightning.errors import InputError
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

BAD = """
import torch
def picture(logits, cr_mask, ignore, dark_share): return (logits - cr_mask) ** 2
def number(logits, cr_mask, ignore, dark_share): return 0.5
def blind(logits, cr_mask, ignore, dark_share): return cr_mask.mean()
def three(logits, cr_mask, ignore): return logits.mean()
def failing(logits, cr_mask, ignore, dark_share): return logits @ cr_mask.flatten()
def still(weights, lr, weight_decay): return None
def slow(weights, rate): return torch.optim.SGD(weights, rate)
"""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "bad_here.picture"}, r"model.loss=bad_here.picture: gives a tensor of shape \(2, 1, 4, 4\)"),
        ({"loss": "bad_here.number"}, "gives a float; it must give a scalar tensor"),
        ({"loss": "bad_here.blind"}, "its value has no gradient with respect to the logits"),
        ({"loss": "bad_here.three"}, "fails on logits, .* TypeError: three"),
        ({"loss": "bad_here.failing"}, "fails on logits, .* RuntimeError: "),
        ({"loss": "hinge"}, "model.loss=hinge: must be one of bce, calibrated_bce, or the name of your own"),
        ({"optimiser": "bad_here.still"}, "model.optimiser=bad_here.still: makes a NoneType"),
        ({"optimiser": "bad_here.slow"}, "fails on weights, lr=0.001 and weight_decay=0: TypeError"),
        ({"optimiser": "adam"}, "model.optimiser=adam: must be one of adamw, or the name of your own"),
        ({"network": "resnet"}, "model.network=resnet: must be one of unet, or the name of your own"),
        ({"settings": {"width": 3}}, "unet takes model.depth= and the like instead"),
        ({"settings": 3}, "model.settings=3: must be names with values"),
    ],
)
def test_what_is_wrong_with_a_choice_is_said(
    settings: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_here.py").write_text(BAD)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=message):
        CosmicRaySegmenter(depth=1, hidden=2, **settings)  # type: ignore[arg-type]
    sys.modules.pop("bad_here", None)
