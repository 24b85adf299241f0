"""What every stage is made of: the unit of work, the codec, effects, days, settings that change while it runs."""
