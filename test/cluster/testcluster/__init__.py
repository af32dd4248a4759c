"""A real Kubernetes cluster on one Linux machine, without Docker: see docs/testing.md. Needs only Python's standard library."""
