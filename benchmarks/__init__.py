"""Throughput and cost of the gateway, beside a bare reverse proxy and no gateway at all, in one run.

`python -m benchmarks --help`. Never part of a test: the tests only check that the numbers are those of right answers.
"""
