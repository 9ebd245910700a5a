"""Router advertisements without sockets or clocks: radvd's configuration, and what is said of it on a link."""
