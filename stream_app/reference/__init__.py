"""A trainer, a registry and a predictor that work: optional, real, and small enough to be replaced.

Nothing of the pipeline knows them. They read and write the same topics as anybody's own would: see
``docs/write-a-trainer.md``.
"""
