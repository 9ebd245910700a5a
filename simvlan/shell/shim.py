"""What stands in for every network command inside a script: asks the simulator, copies the answer, exits.

This file is copied into the run's directory with @DIRECTORY@ filled in, and started by a bare interpreter: it may
import built-in modules only (every command of a script pays for what it imports). What is seldom needed is in
`shim_rare.py`.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import posix
import sys

DIRECTORY = "@DIRECTORY@"
CAUGHT = (1, 2, 3, 15, 17)
"""HUP INT QUIT TERM CHLD."""
ALWAYS_SIGINT = (b"arping", b"ping", b"tcpdump")
"""They set a handler even where the shell had SIGINT ignored, as it does for background commands."""


OWN_SIGINT = (*ALWAYS_SIGINT, b"timeout")
"""They end as they like after SIGINT."""
INTERRUPTED: list[int] = []


def _note_int(number: int, _frame: object) -> None:
    INTERRUPTED.append(number)


def encode(text: str) -> bytes:
    """Octets of a str as the operating system gave them."""
    return text.encode("utf-8", "surrogateescape")


def connect() -> _socket.socket:
    """Reach the simulator."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.connect(DIRECTORY + "/socket")
    except OSError:
        posix.write(2, b"simvlan: the simulator this command belongs to has ended\n")
        posix._exit(125)
    return sock


def catch_signals(name: bytes) -> tuple[_socket.socket, _socket.socket]:
    """Have the C signal handler write every signal's number into a socket the simulator reads: no race, no delay."""
    ours, theirs = _socket.socketpair()
    ours.setblocking(False)
    for number in CAUGHT:
        ignored = _signal.getsignal(number) == _signal.SIG_IGN
        if not ignored or (number == 2 and name in ALWAYS_SIGINT):
            _signal.signal(number, _note_int if number == 2 and name not in OWN_SIGINT else lambda *_: None)
    _signal.signal(13, _signal.SIG_DFL)
    _signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    return ours, theirs


def send(sock: _socket.socket, kind: bytes, payload: bytes) -> None:
    """Send one message."""
    sock.sendall(kind + len(payload).to_bytes(4, "big") + payload)


def request(sock: _socket.socket, signals: _socket.socket, argv: list[bytes], netns: bytes) -> None:
    """Say what is to be run."""
    environment = [key + b"=" + value for key, value in posix.environ.items()]
    flags = b"t" if posix.isatty(1) else b"-"
    fields = [netns, encode(posix.getcwd()), flags, str(len(argv)).encode(), *argv, *environment]
    payload = b"\0".join(fields)
    # The descriptor travels with the first octet, so it is there before the request is whole.
    rights = signals.fileno().to_bytes(4, sys.byteorder)
    sock.sendmsg([b"R"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    sock.sendall(len(payload).to_bytes(4, "big") + payload)


def receive(sock: _socket.socket, size: int) -> bytes:
    """Exactly *size* octets; exits if the simulator is gone."""
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 18))
        if not part:
            posix._exit(125)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def copy(descriptor: int, data: bytes) -> None:
    """Write all of it; a reader that left is SIGPIPE, as for any program."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(descriptor, view) :]
        except OSError:
            return


def leave(answer: bytes) -> None:
    """Exit as told: a status, or the signal that ended the command."""
    # Ctrl-C came too late for the simulator to end the command by it; the shell must see it all the same.
    status = -2 if INTERRUPTED else int(answer)
    if status < 0:
        _signal.signal(-status, _signal.SIG_DFL)
        posix.kill(posix.getpid(), -status)
    posix._exit(status & 255)


RARE: dict = {}  # type: ignore[type-arg]
"""The names of `shim_rare.py`, once it has been needed."""


def rarely(kind: bytes, payload: bytes, sock: _socket.socket) -> None:
    """Everything a plain command does not need."""
    if not RARE:
        sys.modules["simvlan.shell.shim"] = sys.modules[__name__]  # what it imports is this
        with open(DIRECTORY + "/shim_rare.py", encoding="utf-8") as file:
            exec(compile(file.read(), "shim_rare.py", "exec"), RARE)
    RARE["handle"](kind, payload, sock)


def my_netns() -> bytes:
    """The namespace this process is in: said by `ip netns exec` in the environment, or by the mount it left."""
    name = posix.environ.get(b"SIMVLAN_NETNS")
    if name is not None:
        return name
    try:
        descriptor = posix.open(DIRECTORY + "/netns-self", posix.O_RDONLY)
    except OSError:
        return b""
    return posix.read(descriptor, 4096).strip()


def main() -> None:
    """Ask, then do as the answers say."""
    argv = [encode(word) for word in sys.argv]
    _ours, theirs = catch_signals(argv[0].rpartition(b"/")[2])
    sock = connect()
    request(sock, theirs, argv, my_netns())
    while True:
        head = receive(sock, 5)
        payload = receive(sock, int.from_bytes(head[1:], "big"))
        kind = head[:1]
        if kind == b"1" or kind == b"2":
            copy(int(kind), payload)
        elif kind == b"E":
            leave(payload)
        elif kind == b"H":
            _signal.signal(2, lambda *_: None)
            INTERRUPTED.clear()
        else:
            rarely(kind, payload, sock)


if __name__ == "__main__":
    main()
