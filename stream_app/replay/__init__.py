"""History and simulated time: ticks, timelines, replays, backfills, decisions recomputed."""
