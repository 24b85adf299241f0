"""Counts of a day and what is computed from them: deltas, cells, sketches, figures."""
