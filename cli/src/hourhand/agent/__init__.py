"""The agent: carries out commands and HTTP calls on its own machine, by the rules of that machine's owner."""
