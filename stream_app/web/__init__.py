"""The live view: API, WebSocket and dashboard over the read model. Commands go to Kafka; nothing else is written."""
