"""Whether the network of a run is to be kept: from its CR rate, and from the model that it started from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deepcr_lightning.scores.truth_free import RATES

MAY_FALL = 0.15
"""A fine-tuned network whose CR rate fell by more finds fewer own CRs. On the real exposures
of docs/studies/fine_tuning.md networks were no worse where it fell by up to 0.11, and worse where it fell by 0.21 and
more."""
LOWEST = 0.7
"""Below this CR rate a network misses own CRs: from exposure to exposure rates scatter by 10 to 15 per cent."""
UNMEASURED = 1.0
"""What `scores.truth_free.own_rate` gives where too few CRs say anything."""
_KEPT = "The model that it started from is kept"
_CURE = (
    "Give darks that went through the processing of the science exposures (both resampled or neither, the same "
    "calibration)"
)


@dataclass(frozen=True)
class Judgement:
    """What is to be kept of a run, and why.

    Attributes
    ----------
    kept : bool
        Whether its network is; False for the model that it started from.
    words : str
        In a few sentences; empty where there is nothing to say.
    """

    kept: bool
    words: str


def judge(scores: Mapping[str, float], start: Mapping[str, float] | None = None, labelled: bool = False) -> Judgement:
    """Judge the network of a run by its scores on the validation side.

    A network that tells the added CRs from the exposures' own finds fewer of the latter: the loss improves and the CR
    rate (`scores.truth_free.own_rate`) falls. A fine-tuned network is kept if

    - its CR rate is above the lower end of `RATES`, and by no more than `MAY_FALL` below that of the model that it
      started from (below 1, where that is at the upper end of `RATES`: it is sure of what is no CR then); and
    - its loss is lower than that of the model that it started from.

    Both are measured on the same tiles with the same CRs. It is not kept either where there are too few CRs to measure
    the rate.

    Parameters
    ----------
    scores : mapping of str to float
        With ``val/loss``, and with ``val/own_rate`` if the network finds CRs.
    start : mapping of str to float, optional
        The same of the model that the run started from.
    labelled : bool
        Whether the exposures' own CRs are labelled, so that no network can tell them from others.

    Returns
    -------
    Judgement
    """
    rate = scores.get("val/own_rate", UNMEASURED)
    if start is None:
        return Judgement(True, _low(rate) if rate < LOWEST and not labelled else "")
    before = start["val/own_rate"]
    told = f"loss {scores['val/loss']:.5f} (before: {start['val/loss']:.5f})"
    if not labelled:
        rates = f"CR rate over that of the darks: {_range(rate)} (before: {_range(before)})"
        if UNMEASURED in (rate, before):
            return Judgement(
                False,
                "There are too few cosmic rays on the validation side to tell whether the fine-tuned network still "
                f"finds the exposures' own. {_KEPT}; give more exposures and darks to fine-tune it.",
            )
        if max(rate, before) <= RATES[0]:
            return Judgement(
                False,
                f"The exposures have far fewer cosmic rays than expected from the darks, or the network misses their "
                f"own, before and after fine-tuning. {rates}. {_KEPT}. {_CURE} to fine-tune it.",
            )
        if rate <= RATES[0] or rate < (before if before < RATES[1] else 1.0) - MAY_FALL:
            return Judgement(
                False,
                "The fine-tuned network distinguished added cosmic rays from the exposures' own, and missed the "
                f"latter. {rates}. {_KEPT}: use that. {_CURE} to fine-tune it, or take fewer steps.",
            )
        told = f"{told}; {rates}"
    if not scores["val/loss"] < start["val/loss"]:
        return Judgement(
            False,
            f"The fine-tuned network was not better on the validation side: {told}. {_KEPT}; more exposures or a lower "
            "model.learning_rate may help.",
        )
    return Judgement(True, f"The fine-tuned network is better on the validation side: {told}.")


def _low(rate: float) -> str:
    return (
        f"The network finds fewer cosmic rays than expected from the darks (CR rate over that of the darks: "
        f"{_range(rate)}): it may distinguish the added ones from the exposures' own, and miss the latter. {_CURE}, or "
        "use a model that was trained on others (ckpt_path=universal)."
    )


def _range(rate: float) -> str:
    """Write a rate; at an end of its range it may lie beyond."""
    low, high = RATES
    return f"{'at most ' if rate <= low else 'at least ' if rate >= high else ''}{rate:.2f}"
