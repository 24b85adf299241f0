"""Pure decisions: no I/O, no clock, no Kafka. Everything here runs from a bare Python prompt."""
