"""From a scored file to verdicts without a broker: what its columns mean, the stages in memory, words and a report."""
