"""Sweeps: what each job leaves, and the table and figure of all."""
