"""Attacks on a running cluster, from outside and without a secret."""
