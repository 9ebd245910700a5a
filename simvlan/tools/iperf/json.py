"""What iperf3 3.12 prints with -J, keys in its order, laid out as cJSON does."""

from __future__ import annotations

import json
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

from simvlan.clock import SECOND
from simvlan.tools.iperf.text import Interval, summed
from simvlan.tools.iperf.trial import plain

if TYPE_CHECKING:
    from simvlan.tools.iperf.client import Client
    from simvlan.tools.iperf.server import Server
    from simvlan.tools.iperf.stream import Stream
    from simvlan.tools.iperf.trial import Trial

VERSION, SYSTEM = "iperf 3.12", "Linux simvlan 6.1.176 #1 SMP x86_64"
UNKNOWN = -1
"""Segments sent again by a sender that has not told."""
Found = dict[str, Any]


def printed(value: Any, depth: int = 0) -> str:
    """Lay out a value as cJSON_Print does: a tab behind the colon, arrays on one line."""
    if isinstance(value, dict):
        rows = ",\n".join("\t" * (depth + 1) + f"{json.dumps(k)}:\t{printed(v, depth + 1)}" for k, v in value.items())
        return "{\n" + rows + "\n" + "\t" * depth + "}"
    if isinstance(value, list):
        return "[" + ", ".join(printed(each, depth + 1) for each in value) + "]"
    if isinstance(value, float):
        short = f"{value:.15g}"
        return short if float(short) == value else f"{value:.17g}"
    return json.dumps(value)


def date(moment_ns: int) -> str:
    """A moment as iperf3 writes it."""
    return strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(moment_ns // SECOND))


def _start(trial: Trial, connected: list[Found], meeting: Found, mss: int) -> Found:
    o = trial.options
    seconds = trial.began // SECOND
    clock = {"time": date(trial.began), "timesecs": seconds}
    send, receive = (212_992, 212_992) if o.udp else (16_384, 131_072)
    sizes = {
        "sock_bufsize": o.window,
        "sndbuf_actual": 2 * o.window or send,
        "rcvbuf_actual": 2 * o.window or receive,
    }
    made: Found = {"connected": connected, "version": VERSION, "system_info": SYSTEM}
    made |= sizes if trial.letter == "S" and not o.udp else {}
    made |= {"timestamp": clock, **meeting}
    made |= {} if o.udp else {"tcp_mss_default": mss}
    made |= {"target_bitrate": o.rate} | ({} if "sock_bufsize" in made else sizes)
    return made | {"test_start": {
        "protocol": "UDP" if o.udp else "TCP", "num_streams": o.parallel, "blksize": o.length, "omit": o.omit,
        "duration": _whole(o.seconds), "bytes": o.size, "blocks": o.blocks, "reverse": int(o.reverse), "tos": 0,
        "target_bitrate": o.rate,
    }}  # fmt: skip


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


def _row(part: Interval, udp: bool, sender: bool, *, losses: bool = True) -> Found:
    """What is common to all rows of numbers."""
    made: Found = {"start": part.start, "end": part.end, "seconds": part.end - part.start, "bytes": part.size,
                   "bits_per_second": part.bps}  # fmt: skip
    if udp and losses:
        made |= {"jitter_ms": part.jitter_ms, "lost_packets": part.lost, "packets": part.packets,
                 "lost_percent": part.lost_percent}  # fmt: skip
    elif udp:
        made["packets"] = part.packets
    elif part.sending and part.repeats >= 0:
        made["retransmits"] = part.repeats
    return made | {"sender": sender}


def _interval(part: Interval, stream: Stream | None, udp: bool) -> Found:
    """One row of a report: of a stream, or of all."""
    made = ({"socket": stream.number} if stream is not None else {}) | _row(
        part, udp, part.sending, losses=not part.sending
    )
    sender = made.pop("sender")
    conn = None if stream is None or udp or not part.sending else stream.sock.conn
    if conn is not None:
        made |= {"snd_cwnd": part.cwnd, "snd_wnd": int(conn.peer_window), "rtt": part.rtt_us,
                 "rttvar": int(conn.rtt.var_ns) // 1000, "pmtu": int(conn.path_mss) + 40}  # fmt: skip
    return made | {"omitted": part.omitted, "sender": sender}


def _intervals(trial: Trial) -> list[Found]:
    made = []
    for at, sums in enumerate(trial.sums):
        rows = [
            _interval(each.intervals[at], each, trial.options.udp) for each in trial.streams if at < len(each.intervals)
        ]
        names = ("sum", "sum_bidir_reverse")
        made.append({"streams": rows} | {
            name: _interval(total, None, trial.options.udp) for name, total in zip(names, sums, strict=False)
        })  # fmt: skip
    return made


def _stream_end(each: Stream, sender: Interval, receiver: Interval, udp: bool) -> Found:
    if udp:
        own = receiver if sender.size == 0 else sender
        row = _row(Interval(0, own.end, sender.size, 0, 0, receiver.packets, receiver.lost, receiver.jitter_ms), True,
                   each.sending)  # fmt: skip
        sending = row.pop("sender")
        return {"udp": {"socket": each.number, **row, "out_of_order": 0, "sender": sending}}
    mean = sum(each.rtts) // len(each.rtts) if each.rtts else 0
    more = {"max_snd_cwnd": each.most_cwnd, "max_snd_wnd": each.most_window, "max_rtt": max(each.rtts, default=0),
            "min_rtt": min(each.rtts, default=0), "mean_rtt": mean}  # fmt: skip
    rows = {}
    for name, part in (("sender", sender), ("receiver", receiver)):
        row = _row(part, False, each.sending)
        row.pop("sender")
        extra = more if name == "sender" and part.sending and part.repeats >= 0 else {}
        rows[name] = {"socket": each.number, **row, **extra, "sender": each.sending}
    return rows


def _end(trial: Trial, pairs: list[tuple[Interval, Interval]]) -> Found:
    udp, count = trial.options.udp, trial.options.parallel
    rows = [_stream_end(each, *pair, udp) for each, pair in zip(trial.streams, pairs, strict=True)]
    made: Found = {"streams": rows}
    for part, behind in ((pairs[:count], ""), (pairs[count:], "_bidir_reverse")):
        if not part:
            continue
        sent, got = summed([s for s, _ in part]), summed([r for _, r in part])
        mine = trial.streams[0 if not behind else count].sending
        if udp:
            whole = Interval(0, got.end, sent.size, 0, 0, got.packets, got.lost, got.jitter_ms)
            made[f"sum{behind}"] = _row(whole, True, mine)
        made |= {f"sum_sent{behind}": _row(sent, udp, True if udp else mine),
                 f"sum_received{behind}": _row(got, udp, False if udp else mine)}  # fmt: skip
    return made | {"cpu_utilization_percent": dict.fromkeys(
        ("host_total", "host_user", "host_system", "remote_total", "remote_user", "remote_system"), 0
    )}  # fmt: skip


def of_client(trial: Client) -> str:
    """A client's test."""
    o = trial.options
    connected = [
        {"socket": s.number, "local_host": s.sock.text(s.sock.src), "local_port": s.sock.port,
         "remote_host": trial.there, "remote_port": o.port} for s in trial.streams
    ]  # fmt: skip
    meeting = {"connecting_to": {"host": o.host, "port": o.port}, "cookie": trial.cookie[:-1].decode()}
    end = _end(trial, trial.pairs())
    if not o.udp:
        used = str(trial.told.get("congestion_used") or trial.congestion)
        ours = trial.congestion
        end |= {
            "sender_tcp_congestion": used if o.reverse else ours,
            "receiver_tcp_congestion": ours if o.reverse else used,
        }
    mss = int(trial.control.conn.mss)
    made = {"start": _start(trial, connected, meeting, mss), "intervals": _intervals(trial), "end": end}
    if trial.told.get("server_output_text"):
        made["server_output_text"] = trial.told["server_output_text"]
    if o.title:
        made["title"] = o.title
    return printed(made) + "\n"


def of_server(trial: Server) -> str:
    """A server's test: of the other side it knows nothing."""
    o = trial.options
    connected = [
        {"socket": s.number, "local_host": s.names[0], "local_port": o.port, "remote_host": s.names[1],
         "remote_port": s.names[2]} for s in trial.streams
    ]  # fmt: skip
    host, port = plain(trial.control, trial.control.peer[0]), trial.control.peer[1]
    meeting = {"accepted_connection": {"host": host, "port": port}, "cookie": trial.cookie[:-1].decode()}
    pairs = []
    for each in trial.streams:
        own, none = each.whole(), Interval(0, each.ended, 0, UNKNOWN, sending=not each.sending)
        pairs.append((own, none) if each.sending else (none, own))
    end = _end(trial, pairs)
    if not o.udp:
        end["sender_tcp_congestion" if trial.streams[0].sending else "receiver_tcp_congestion"] = trial.congestion
    return printed({"start": _start(trial, connected, meeting, 0), "intervals": _intervals(trial), "end": end}) + "\n"
