"""TCP without input or output: one end of a connection as a state machine (`Connection`), in small files by rule.

| file | what | RFC |
| --- | --- | --- |
| `states.py` | states, events, what leads where | 9293 |
| `segment.py`, `options.py`, `seq.py` | octets <-> fields; sequence numbers | 9293, 7323, 2018 |
| `connection.py` | one end: what it keeps, what the application calls | 9293 |
| `arrival.py`, `ackin.py`, `timewait.py` | a segment comes | 9293, 5961, 7323 |
| `transmit.py`, `timers.py` | a segment goes; time passes | 9293, 6298 |
| `sendqueue.py`, `sent.py`, `recovery.py` | what is under way and what is lost | 6675, 6582, 6937, 5682 |
| `rack.py`, `probe.py`, `undo.py` | lost by time; a probe for the end; what was not lost after all | 8985, 3522, 3708 |
| `congestion.py`, `cubic.py` | how much may be under way | 5681, 9438 |
| `recvqueue.py`, `window.py`, `delack.py` | what has come, what may come, when that is said | 2018, 2883, 1122 |
| `rtt.py` | round trips and timeouts | 6298 |
"""
