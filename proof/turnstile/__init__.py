"""Runs the product's real SQL one statement at a time, in an order that a seed determines, and checks the rows."""
