"""Options and items of the performance tests; pytest loads it wherever tokenclock is installed, so it imports little."""
