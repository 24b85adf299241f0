"""What brings records into the pipeline: files, mappings, loads, dead-lettered records redriven, the relay."""
