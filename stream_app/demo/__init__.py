"""The demonstration: package-only data, a broker, a worker, and what they show."""
