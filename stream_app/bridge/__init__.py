"""Delivers alerts to where people are: Alertmanager, or any address that takes a signed request."""
