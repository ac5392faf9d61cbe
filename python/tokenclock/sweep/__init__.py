"""Sweeps: one YAML file names servers, a benchmark and a matrix; every point runs as a command of its own."""
