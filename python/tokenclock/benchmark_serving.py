"""The old module name of `tokenclock serving`: `python -m tokenclock.benchmark_serving FLAGS`."""

import sys

from tokenclock.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["serving", *sys.argv[1:]]))
