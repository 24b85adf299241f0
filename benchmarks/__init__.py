"""Cost per event against the peers, in one run on one machine. ``python -m benchmarks`` or ``make bench``."""
