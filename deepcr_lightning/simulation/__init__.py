"""Simulated WFC3/UVIS exposures with truth, written and read back like real data."""

from deepcr_lightning.simulation.cosmic_rays import draw_cosmic_rays
from deepcr_lightning.simulation.simulated_set import simulate_set

__all__ = ["draw_cosmic_rays", "simulate_set"]
