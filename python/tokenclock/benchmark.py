"""The old module name of `tokenclock benchmark`: `python -m tokenclock.benchmark FLAGS`."""

import sys

from tokenclock.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
