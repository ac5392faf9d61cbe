"""Performance tests: a pytest plugin that makes a case of each entry of a test list, runs it, and gates on history."""
