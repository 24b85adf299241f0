"""Commands of operators and of the settings file on their way into the pipeline."""
