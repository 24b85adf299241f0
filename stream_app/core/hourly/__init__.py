"""Alarms within hours: hourly counters, what they are compared with, the evidence of a loss, and what becomes of it.

CONTRACT section 3a; ``docs/statistics.md``, "Hourly alarms", says what is proven and what is only measured. Everything
here is a pure function of counts and stored values: no I/O, no clock.
"""
