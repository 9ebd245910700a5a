"""A small POSIX shell: what `docker run -it alpine sh` and `sh -c` need, run by simulated processes."""
