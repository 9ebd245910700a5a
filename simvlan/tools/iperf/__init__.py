"""iperf3 3.12: how much a path carries, over TCP or UDP, in virtual time; its protocol, its text, its JSON.

A control connection carries one octet per state, and the parameters and results as JSON; each stream has a connection
of its own. `options.py` reads the command line, `stream.py` is one stream at one end, `trial.py` one test at one end,
`client.py` and `server.py` are the two ends, `text.py` and `json.py` what they print.
"""
