"""Web servers and clients in containers; busybox's wget says what busybox 1.35 said."""

from __future__ import annotations

import re

import pytest

from simvlan import Lab

SET_UP = """
docker network create web > /dev/null
docker run -d --name ngx --network web nginx > /dev/null 2>&1
docker run -d --name apache --network web httpd > /dev/null 2>&1
docker run -d --name who --hostname me --network web traefik/whoami > /dev/null 2>&1
docker run -d --name py --network web python python3 -m http.server > /dev/null 2>&1
docker run -d --name cli --network web alpine sleep infinity > /dev/null 2>&1
docker run -d --name gnu --network web debian sleep infinity > /dev/null 2>&1
cli() { docker exec cli "$@" 2>&1; }
gnu() { docker exec gnu "$@" 2>&1; }
"""


@pytest.fixture(scope="module")
def lab() -> Lab:
    made = Lab()
    made.sh(SET_UP)
    return made


def said(lab: Lab, script: str) -> str:
    functions = "\n".join(line for line in SET_UP.splitlines() if "()" in line)
    return lab.sh(functions + "\n" + script).stdout


def test_welcome_pages(lab: Lab) -> None:
    out = said(lab, "cli wget -qO- ngx | grep h1; cli wget -qO- http://apache; gnu curl -sI http://ngx | head -2")
    assert out == (
        "<h1>Welcome to nginx!</h1>\n<html><body><h1>It works!</h1></body></html>\n"
        "HTTP/1.1 200 OK\r\nServer: nginx/1.27.5\r\n"
    )


def test_whoami_tells_who_asked(lab: Lab) -> None:
    out = said(lab, "gnu curl -s -A me -H 'X-B: 2' -H 'A-C: 1' http://who/path; gnu hostname -i")
    *lines, own = out.splitlines()
    assert [re.sub(r"\d+$", "N", line) for line in lines] == [
        "Hostname: me", "IP: 127.0.0.N", "IP: 172.18.0.N", f"RemoteAddr: {own}:N", "GET /path HTTP/1.N", "Host: who",
        "User-Agent: me", "A-C: N", "Accept: */*", "X-B: N", "",
    ]  # fmt: skip


def test_a_connection_is_used_again(lab: Lab) -> None:
    out = said(
        lab, "gnu curl -s -o /dev/null -o /dev/null -w '%{http_code} %{num_connects}\\n' http://ngx http://ngx/no"
    )
    assert out == "200 1\n404 0\n"


def test_pages_of_one_s_own_go_first(lab: Lab) -> None:
    out = said(lab, """
        docker exec ngx sh -c 'mkdir -p /usr/share/nginx/html; echo mine > /usr/share/nginx/html/index.html'
        cli wget -qO- http://ngx; docker exec py sh -c 'mkdir -p /srv/d; echo x > /srv/d/f'
        cli wget -qO- http://py:8000/srv/d; cli wget -qO- http://py:8000/srv/d/f; docker logs ngx | tail -1
    """)  # fmt: skip
    assert out.startswith("mine\n<!DOCTYPE HTML>")
    assert '<li><a href="f">f</a></li>\n' in out
    assert re.search(
        r'</html>\nx\n[\d.]+ - - \[01/Jan/1970:[\d:]+ \+0000\] "GET / HTTP/1.1" 200 5 "-" "Wget" "-"\n$', out
    )


BUSYBOX = {
    "wget http://apache": "Connecting to apache (IP:80)\nsaving to 'index.html'\nindex.html           100% |"
    "********************************|    45  0:00:00 ETA\n'index.html' saved\n0\n",
    "wget http://apache/": "Connecting to apache (IP:80)\nwget: can't open 'index.html': File exists\n1\n",
    "wget -O- http://apache": "Connecting to apache (IP:80)\nwriting to stdout\n"
    "<html><body><h1>It works!</h1></body></html>\n"
    "-                    100% |********************************|    45  0:00:00 ETA\nwritten to stdout\n0\n",
    "wget --spider http://apache": "Connecting to apache (IP:80)\nremote file exists\n0\n",
    "wget -q --spider http://apache/no": "wget: server returned error: HTTP/1.1 404 Not Found\n1\n",
    "wget http://apache:81/": "Connecting to apache:81 (IP:81)\n"
    "wget: can't connect to remote host (IP): Connection refused\n1\n",
    "wget http://nosuch/": "wget: bad address 'nosuch'\n1\n",
}
"""Texts as busybox 1.35 printed them, of another server and name."""


def test_busybox_wget_says_what_busybox_says(lab: Lab) -> None:
    lines = "".join(f"cli {command} 2>&1; echo $?\n" for command in BUSYBOX)
    assert re.sub(r"172\.18\.0\.\d+", "IP", said(lab, lines)) == "".join(BUSYBOX.values())


def test_curl_s_own_image_and_how_servers_stop(lab: Lab) -> None:
    out = said(lab, """
        docker run --rm --network web curlimages/curl -s http://apache 2> /dev/null
        docker stop ngx > /dev/null; docker inspect -f '{{.State.ExitCode}}' ngx
        gnu curl -sS http://ngx; echo $?; gnu curl -s -m 2 http://who:81; echo $?
    """)  # fmt: skip
    assert out.endswith("</html>\n0\ncurl: (6) Could not resolve host: ngx\n6\n7\n")


def test_a_published_port_answers_on_the_node_and_from_containers() -> None:
    """By DNAT at the node's own address, by a docker-proxy at its loopback."""
    out = (
        Lab()
        .sh("""
        docker run -d --name ngx -p 8080:80 nginx > /dev/null 2>&1
        docker run -d --name cli alpine sleep infinity > /dev/null 2>&1
        for host in localhost 127.0.0.1 172.17.0.1; do curl -s http://$host:8080 | grep h1; done
        docker exec cli wget -qO- http://172.17.0.1:8080 | grep h1
        curl -sS http://localhost:8081; echo $?
    """)
        .stdout
    )
    assert out == "<h1>Welcome to nginx!</h1>\n" * 4 + "7\n"


def test_names_come_from_hosts_from_docker_and_from_servers_on_the_network() -> None:
    """One resolver for all: curl in a container asks whom its resolv.conf names, here a dnsmasq on the node."""
    out = (
        Lab()
        .sh("""
        docker network create web > /dev/null
        docker run -d --name ngx --network web nginx > /dev/null 2>&1
        docker run -d --name other --dns 172.17.0.1 debian sleep infinity > /dev/null 2>&1
        docker run -d --name inner --network web --add-host known:172.18.0.2 debian sleep infinity > /dev/null 2>&1
        dnsmasq -k --host-record=asked.lan,172.17.0.1 2> /dev/null & sleep 1
        cd "$(mktemp -d)"; echo from the node > f; python3 -m http.server 80 > /dev/null 2>&1 & sleep 1
        docker exec inner curl -s http://known | grep -c h1; docker exec inner curl -s http://ngx | grep -c h1
        docker exec other curl -sS http://asked.lan/f 2>&1 | head -1; docker exec other curl -sS http://no.lan 2>&1
        docker exec other nslookup asked.lan | tail -5; kill %1 %2
    """)
        .stdout
    )
    assert out.startswith("1\n1\nfrom the node\ncurl: (6) Could not resolve host: no.lan\n")
    assert "Name:\tasked.lan\nAddress: 172.17.0.1\n" in out
