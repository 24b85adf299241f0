"""Talking to Kafka outside the lanes: one factory of clients, and what every client of ours is started with."""
