"""Faces of a Result: they format and never compute."""
