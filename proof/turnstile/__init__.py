"""The product's real SQL, one statement at a time, in an order that a seed decides; then the rows are compared."""
