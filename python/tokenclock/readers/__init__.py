"""Results and logs, our own and those of other tools, as values that can be compared. One file each."""
