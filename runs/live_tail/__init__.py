"""The live tail: executions that have changed, published to listeners through Redis."""
