"""The relay: records of other topics become predictions and outcomes, exactly once, by a map the user gives."""
