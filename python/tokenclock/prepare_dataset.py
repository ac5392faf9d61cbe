"""The old script's name for `tokenclock prepare-dataset`: `python -m tokenclock.prepare_dataset FLAGS`."""

import sys

from tokenclock.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["prepare-dataset", *sys.argv[1:]]))
