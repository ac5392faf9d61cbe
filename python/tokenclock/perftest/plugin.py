"""Options and items of the performance tests. pytest loads this wherever tokenclock is installed: it imports little."""
