"""The old program's name: `python -m tokenclock.trtllm_bench --model NAME throughput FLAGS`."""

import sys

from tokenclock.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
