"""The figures a run is judged by: columns and counters in, one figure per check out. Limits are in quality.py."""
