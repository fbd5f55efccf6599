"""What a run leaves behind: its record, figures and report, and what it tells trackers."""
