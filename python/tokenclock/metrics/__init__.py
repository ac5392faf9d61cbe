"""Pure functions from Records to numbers: same columns, same answer; no clock, no files."""
