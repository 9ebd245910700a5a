"""What a namespace does with frames that came up to it, and what it sends: ARP, IPv4, ICMP, UDP, routing."""
