"""DHCPv4 without sockets, clocks or devices: messages, a server's and a client's rules (RFC 2131, RFC 2132)."""
