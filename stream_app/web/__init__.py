"""The live view: API, WebSocket and dashboard over the read model. Orders go to Kafka; nothing else is written."""
