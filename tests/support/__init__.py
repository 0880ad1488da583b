"""What tests and benchmarks share: helpers, and no tests."""
