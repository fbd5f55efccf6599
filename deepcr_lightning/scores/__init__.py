"""Statistics of maps: with truth, without truth, and what thresholds keep."""
