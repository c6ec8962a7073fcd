"""Runs the test suites of stock clients against a broker and judges the result."""
