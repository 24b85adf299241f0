"""The read model: what the pipeline published, laid out in Redis for people to read. Never a source of truth."""
