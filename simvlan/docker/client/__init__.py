"""A small docker command of our own, for machines without the real one: a subset of its commands, the same text."""
