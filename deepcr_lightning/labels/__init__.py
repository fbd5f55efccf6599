"""Labels: the cosmic rays of exposures, found by comparing several of one field."""
