"""Statistics of two windows of one version: what the metrics stage computes and the drift stage judges."""
