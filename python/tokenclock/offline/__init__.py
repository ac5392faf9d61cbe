"""Runs fixed-shape batches on a runtime in this process: limits, loop, sweep."""
