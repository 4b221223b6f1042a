"""The record of every call: who used what, and how it ended. Written in batches, never in the way of a call."""
