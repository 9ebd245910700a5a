"""How an unmodified bash script runs with its network commands acting on the simulated kernel."""
