"""Exactly-once lanes on Faust, Kafka transactions and RocksDB. Knows nothing of models."""
