"""Random networks and frames against a real kernel: generated, run many a second, compared, shrunk."""
