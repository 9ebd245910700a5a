"""Engines: what drives the shared rules. `walk` answers at once, `events` (SimPy) says when."""
