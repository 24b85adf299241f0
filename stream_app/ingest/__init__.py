"""What brings records into the pipeline: files, mappings, loads, dead letters redriven, the relay."""
