"""Models timed in this process: one file per runtime, all behind `protocol.Runtime`."""
