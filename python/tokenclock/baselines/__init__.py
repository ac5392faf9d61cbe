"""What a run is held against: baselines from earlier runs, pinned until someone accepts a change."""
