"""Packet filters, connection tracking and NAT of a namespace: rules only, no input or output.

Mirrors net/netfilter and net/ipv4/netfilter as far as Docker's bridge needs them. The stack and the bridge call
`hooks.Netfilter`; who changes rules goes through `tables.Tables`.
"""
