"""Evaluation: masks against the truth."""
