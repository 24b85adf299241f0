"""Joins every prediction to its outcome, in either order, once; the only stage that costs per event."""
