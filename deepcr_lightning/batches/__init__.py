"""Batches: science tiles with dark cosmic rays added, labelled."""
