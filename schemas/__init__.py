"""The wire contract: one file a topic family, structs without logic."""
