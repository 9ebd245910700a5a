"""DNS without sockets: messages, and what a small server knows (RFC 1035)."""
