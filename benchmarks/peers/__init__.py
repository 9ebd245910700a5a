"""Other programs that do the work of the batch benchmarks: ns-3 (C++), ns.py, and the kernel of this machine."""
