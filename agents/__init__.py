"""One file an agent; all they do is wire. What stages read and write stands in :mod:`stream_app.pipeline`."""
