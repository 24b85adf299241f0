"""Helpers of the tests that need a broker: inputs, topics, workers."""
