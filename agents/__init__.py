"""One file an agent: which topics, which stage, which table. Decisions live in core, mechanics in the engine."""
