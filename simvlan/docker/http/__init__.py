"""The Docker Engine API on Unix sockets: what moby's api/server does for a real engine."""
