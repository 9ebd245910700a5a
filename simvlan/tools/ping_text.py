"""Words of ping (iputils 20221126): what ICMP errors and redirects are called, how times are written."""

from __future__ import annotations

from typing import Any

UNREACHABLE = {
    0: "Destination Net Unreachable",
    1: "Destination Host Unreachable",
    2: "Destination Protocol Unreachable",
    3: "Destination Port Unreachable",
    5: "Source Route Failed",
    6: "Destination Net Unknown",
    7: "Destination Host Unknown",
    8: "Source Host Isolated",
    9: "Destination Net Prohibited",
    10: "Destination Host Prohibited",
    11: "Destination Net Unreachable for Type of Service",
    12: "Destination Host Unreachable for Type of Service",
    13: "Packet filtered",
    14: "Precedence Violation",
    15: "Precedence Cutoff",
}
REDIRECTS = {0: "Redirect Network", 1: "Redirect Host", 2: "Redirect Type of Service and Network",
             3: "Redirect Type of Service and Host"}  # fmt: skip


def milliseconds(micros: int) -> str:
    """Write a time with four significant digits at most."""
    if micros >= 100_000 - 50:
        return f"{(micros + 500) // 1000}"
    if micros >= 10_000 - 5:
        return f"{(micros + 50) // 1000}.{(micros + 50) % 1000 // 100}"
    if micros >= 1000:
        return f"{(micros + 5) // 1000}.{(micros + 5) % 1000 // 10:02}"
    return f"0.{micros:03}"


def error_text(problem: Any) -> str:
    """Say what an ICMP error says (pr_icmph)."""
    if problem.type == 3:
        if problem.code == 4:
            return f"Frag needed and DF set (mtu = {problem.info})"
        return UNREACHABLE.get(problem.code, f"Dest Unreachable, Bad Code: {problem.code}")
    if problem.type == 11:
        return {0: "Time to live exceeded", 1: "Frag reassembly time exceeded"}.get(
            problem.code, f"Time exceeded, Bad Code: {problem.code}"
        )
    if problem.type == 12:
        return f"Parameter problem: pointer = {problem.info >> 24}"
    return f"Bad ICMP type: {problem.type}"
