"""What the pipeline should have said, computed the slow and obvious way. Shares no code with stream_app."""
