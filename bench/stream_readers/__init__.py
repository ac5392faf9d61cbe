"""Clients that `compare_clients.py` runs one after another, each in a process of its own."""
