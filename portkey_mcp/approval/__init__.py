"""Calls that wait for a person: asked, decided once, for exactly one call, and recorded."""
