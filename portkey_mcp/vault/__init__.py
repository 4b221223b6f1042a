"""Accounts at servers: how they are connected, kept sealed, refreshed, and put into requests."""
