"""Jobs: what was asked for, whose turn it is, what one job works with and what it reports."""
