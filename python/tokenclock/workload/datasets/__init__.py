"""Datasets that come from files, and random pictures: one file each."""
