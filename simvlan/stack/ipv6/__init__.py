"""IPv6. Mirrors net/ipv6."""
