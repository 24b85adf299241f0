"""Kafka and Redis on this machine, for demos, tests and first steps; not for production."""
