"""The worker process around the engine: its views, figures and claim."""
