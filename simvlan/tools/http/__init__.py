"""HTTP over the simulated TCP: `python3 -m http.server`, curl, wget. h11 is the codec; sockets are `tools.talk`'s.

| file | what | whose words |
| --- | --- | --- |
| `url.py` | the parts of an address as people type it | RFC 3986 |
| `exchange.py` | one request and its response on one connection | RFC 9112 |
| `curl.py`, `curl_options.py`, `curl_transfer.py`, `curl_text.py` | curl | curl 7.88.1 |
| `wget.py`, `busybox_wget.py` | the two wgets | GNU Wget 1.21.3, busybox 1.35 |
| `service.py` | many connections at once, none of which blocks | |
| `python_server.py` | the standard library's own handler, fed with what came | `http/server.py` |
| `welcome.py` | what images of web servers answer | nginx, httpd, traefik/whoami |
"""
