"""Kafka and Redis on this machine, for first steps, demos and tests; production brings its own."""
