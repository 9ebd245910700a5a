"""Configurations, each with something to complain of or to take: the answers of radvd -c: configurations.json."""

from __future__ import annotations

FILE = "radvd.conf"
_ETH0 = "interface eth0 { %s };\n"

CONFIGURATIONS = {
    "unknown word": _ETH0 % "AdvSendAdvert on;\nAdvNoSuch on;",
    "word of nobody's": _ETH0 % "AdvRASolicitedOnly on;",
    "no semicolon": _ETH0 % "AdvSendAdvert on\nAdvManagedFlag on;",
    "bad switch": _ETH0 % "AdvSendAdvert yes;",
    "empty": "",
    "only a comment": "# x\n",
    "two of a name": _ETH0 % "" + _ETH0 % "",
    "no final semicolon": "interface eth0 { }\n",
    "preferred for longer than valid": _ETH0
    % "\nprefix 2001:db8::/64 {\n AdvValidLifetime 10;\n AdvPreferredLifetime 20;\n};\n",
    "long prefix": _ETH0 % "\nprefix 2001:db8::/129 { };\n",
    "long route": _ETH0 % "\nroute 2001:db8::/129 { };\n",
    "bad address": _ETH0 % "prefix 2001:db8:::/64 { };",
    "IPv4 address": _ETH0 % "prefix 10.0.0.0/8 { };",
    "four servers": _ETH0 % "RDNSS 2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4 { };",
    "no server": _ETH0 % "RDNSS { };",
    "bad domain": _ETH0 % "DNSSL ex_ample.org { };",
    "number too large": _ETH0 % "AdvReachableTime 4294967296;",
    "negative number": _ETH0 % "AdvReachableTime -1;",
    "fraction": _ETH0 % "AdvReachableTime 1.5;",
    "fraction of an interval": _ETH0 % "MaxRtrAdvInterval 4.5;",
    "infinity where none is": _ETH0 % "AdvDefaultLifetime infinity;",
    "bad preference": _ETH0 % "AdvDefaultPreference best;",
    "preference as a number": _ETH0 % "AdvDefaultPreference -1;",
    "servers for a short time": _ETH0 % "RDNSS 2001:db8::1 { AdvRDNSSLifetime 5; };",
    "servers for a long time, and old words": _ETH0
    % "RDNSS 2001:db8::1 {\n AdvRDNSSLifetime 5000; AdvRDNSSPreference 8; AdvRDNSSOpen off; };",
    "domains for a long time": _ETH0 % "DNSSL example.org { AdvDNSSLLifetime 5000; };",
    "domains for a short time": _ETH0 % "DNSSL example.org { AdvDNSSLLifetime 5; };",
    "/63 of an interface": _ETH0 % "prefix ::/63 { Base6Interface eth1; };",
    "prefix without a body": _ETH0 % "prefix 2001:db8::/64;",
    "route without a body": _ETH0 % "route 2001:db8::/48;",
    "name in quotes": 'interface "eth0" { };\n',
    "number for a name": "interface 100 { };\n",
    "no clients": _ETH0 % "clients { };",
}
