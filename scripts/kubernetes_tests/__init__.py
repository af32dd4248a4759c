"""Runs the tests that need Kubernetes; scripts/kubernetes-tests.sh calls it."""
