"""A TCP socket of a program: what is called and what is told, never blocking.

Mirrors the system calls as far as results and errnos go (net/ipv4/tcp.c, inet_connection_sock.c). `on_receive(socket)`
is called whenever something changed: connected, failed, something to read or accept, room to write.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from simvlan.segmentation import GSO_MAX_SIZE
from simvlan.stack import fib
from simvlan.stack.family import Ends, refusal
from simvlan.stack.packet import TCP
from simvlan.stack.tcp.connection import Connection
from simvlan.stack.tcp.listen import Listener
from simvlan.stack.tcp.packets import Flow
from simvlan.stack.tcp.segment import ACK, RST, Segment
from simvlan.stack.tcp.states import State
from simvlan.verdict import Drop

if TYPE_CHECKING:
    from simvlan.clock import Timer
    from simvlan.devices.device import Device
    from simvlan.stack.family import Family
    from simvlan.stack.netstack import Stack
    from simvlan.stack.tcp.host import Tcp


class TcpSocket(Ends):
    """A socket: unconnected, listening, or one end of a connection.

    One of IPv6 that is bound to :: takes IPv4 too, unless it is `v6only`: it, or what it accepts, is then `mapped`.
    """

    bound_group = 0

    def __init__(self, stack: Stack, tcp: Tcp, family: Family, v6only: bool = False) -> None:
        self.stack = stack
        self.tcp = tcp
        self.family = family
        self.v6only = v6only
        self.on_receive: Callable[[TcpSocket], None] | None = None
        self.bind_dev: Device | None = None
        self.src = 0
        self.port = 0
        self.peer: tuple[int, int] | None = None
        self.tos = 0
        self.ttl = 0
        """0: the namespace's default."""
        self.reuse = False
        """SO_REUSEADDR."""
        self.reuseport = False
        """SO_REUSEPORT: several may listen on one port."""
        self.nodelay = False
        self.congestion = ""
        """TCP_CONGESTION; empty: the namespace's."""
        self.maxseg = 0
        """TCP_MAXSEG; 0: what the path's MTU leaves."""
        self.buffer = 0
        """What SO_SNDBUF and SO_RCVBUF have made of both buffers; 0: they grow by themselves."""
        self.listener: Listener[TcpSocket] | None = None
        self.conn: Connection | None = None
        self.closed = False
        self._parent: TcpSocket | None = None
        self._children: list[TcpSocket] = []
        """Half open: not accepted yet, not even established."""
        self._timer: Timer | None = None
        self._timer_ns = 0
        self._mtu_of: tuple[Device | None, int] = None, 0
        """The device of the route, and the MTU it had when we last looked."""
        self._sending = self._reduced = False
        """Segments are being sent; meanwhile came a router's word about the MTU."""

    # -- names ------------------------------------------------------------------------------------------------------

    def bind(self, address: int, port: int = 0) -> None:
        """Take an address and a port (0: any free one).

        Raises:
            OSError: EADDRNOTAVAIL for an address that is not ours, EADDRINUSE for a port that is taken.
        """
        if self.port:
            raise refusal(errno.EINVAL)
        address = self.map(address)
        number = self.family.may_bind(address, self.bind_dev) if address else 0
        if number or (address and not self.family.is_own(address, self.bind_dev)):
            raise refusal(number or errno.EADDRNOTAVAIL)
        self.src = address
        self.tcp.take_port(self, port)

    def hears(self, found: Any) -> bool:
        """Whether a packet's device, family and destination fit the socket's bindings."""
        if self.bind_dev is not None and self.bind_dev not in self.family.devices(found):
            return False
        if found.family != self.family.number:
            return not (found.family == 6 or self.v6only or self.src)
        return not self.src or self.src == found.dst

    @property
    def flow(self) -> Flow:
        """Both ends' addresses and ports."""
        address, port = self.peer or (0, 0)
        return self.src, self.port, address, port

    # -- opening ----------------------------------------------------------------------------------------------------

    def listen(self, backlog: int = 128) -> None:
        """Wait for connections."""
        if self.conn is not None:
            raise refusal(errno.EINVAL)
        if not self.port:
            self.tcp.take_port(self, 0)
        self.listener = Listener(backlog)

    def accept(self) -> TcpSocket | None:
        """The next established connection; None when there is none yet."""
        if self.listener is None:
            raise refusal(errno.EINVAL)
        return self.listener.waiting.popleft() if self.listener.waiting else None

    def connect(self, address: int, port: int, dev: Device | None = None) -> None:
        """Begin to connect; `on_receive` tells of the outcome: then `connected`, or `error`. *dev*: of `address%dev`.

        Raises:
            OSError: no route, no free port, or connected already.
        """
        if self.conn is not None or self.listener is not None:
            raise refusal(errno.EISCONN)
        address = self.map(address or self.family.loopback)
        self.bind_dev = self.bind_dev or dev
        route = self._route(address)
        if isinstance(route, int) or route.kind not in (fib.UNICAST, fib.LOCAL):
            raise refusal(route if isinstance(route, int) else errno.ENETUNREACH)
        if not self.src:
            self.src = route.src
            if self.stack.fib.custom and isinstance(route := self._route(address), int):  # as Socket.way
                self.src = 0
                raise refusal(route)
        if not self.port:
            self.tcp.take_port(self, 0)
        self.peer = (address, port)
        if self.flow in self.family.flows:
            self.peer = None
            raise refusal(errno.EADDRNOTAVAIL)
        self._begin(route)
        assert self.conn is not None
        self.conn.connect(self.stack.kernel.now)
        self._called()

    def _begin(self, route: Any) -> None:
        """Make this socket one end of a connection."""
        iss, offset = self.tcp.numbers(self.family, self.flow)
        config = self.tcp.config(self.family, route.path_mtu, self.nodelay, self.congestion)
        mss = min(config.mss, self.maxseg or config.mss)
        self.conn = Connection(replace(config, mss=mss, rcvbuf=self.buffer, sndbuf=self.buffer), iss, offset)
        self.conn.gso_max = self._gso_max(route)
        self.family.flows[self.flow] = self

    def _gso_max(self, route: Any) -> int:
        """Octets of a super-packet: TCP makes them whatever the device says (sk_setup_caps); 0: not modelled."""
        return GSO_MAX_SIZE if self.stack.kernel.gso and route.dev.kind else 0

    def opened(self, flow: Flow, segment: Segment, found: Any) -> None:
        """A SYN came to this listening socket: a child answers (tcp_conn_request)."""
        child = TcpSocket(self.stack, self.tcp, self.stack.family_of(found.family), self.v6only)
        child.mapped = self.mapped or child.family is not self.family
        child.src, child.port, child.peer = flow[0], flow[1], (flow[2], flow[3])
        child.bind_dev = self.bind_dev or child.family.link_of(found)
        child.nodelay, child.congestion = self.nodelay, self.congestion
        child.maxseg, child.buffer = self.maxseg, self.buffer
        route = child._route(flow[2])
        if isinstance(route, int):
            return
        child._parent = self
        self._children.append(child)
        child._begin(route)
        assert child.conn is not None
        child.conn.accept(segment, self.stack.kernel.now)
        child.settle()

    # -- data -------------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """The handshake is through."""
        return self.conn is not None and self.conn.state not in (State.CLOSED, State.SYN_SENT, State.SYN_RECEIVED)

    @property
    def error(self) -> int:
        """The errno that ended the connection; 0 while there is none."""
        return 0 if self.conn is None else self.conn.error

    @property
    def eof(self) -> bool:
        """Nothing more will come: the other side finished, or the connection is gone; what came may still be read."""
        return self.conn is not None and self.conn.eof

    @property
    def readable(self) -> bool:
        """`recv` has something to say: data, the end, or an error."""
        return self.conn is not None and bool(self.conn.recv.data or self.conn.eof)

    @property
    def writable(self) -> bool:
        """There is room worth writing to."""
        return self.conn is not None and self.connected and self.conn.writable

    def send(self, data: bytes) -> int:
        """Write octets, as many as there is room for.

        Raises:
            OSError: ENOTCONN, EPIPE, or what ended the connection.
        """
        if self.conn is None or not (self.connected or self.conn.error):
            raise refusal(errno.ENOTCONN if self.conn is None else errno.EAGAIN)
        self._look_at_path()
        try:
            taken = self.conn.write(data, self.stack.kernel.now)
        except OSError as error:
            raise refusal(error.errno or errno.EPIPE) from None
        self._called()
        return taken

    def recv(self, most: int = 65_536) -> bytes:
        """Take octets that came: b"" at the end (`eof`) or when there are none yet.

        Raises:
            OSError: what ended the connection, once everything before it was read.
        """
        if self.conn is None:
            raise refusal(errno.ENOTCONN)
        data = self.conn.read(most, self.stack.kernel.now)
        if not data and self.conn.error:
            number = self.conn.error
            if number == errno.EPIPE:  # reading only finds the end
                return b""
            raise refusal(number)
        self._called()
        return data

    def shutdown(self) -> None:
        """Say that nothing more will be written (SHUT_WR)."""
        if self.conn is None or self.conn.state is State.CLOSED:
            raise refusal(errno.ENOTCONN)
        self.conn.shutdown(self.stack.kernel.now)
        self._called()

    def close(self) -> None:
        """Let go: the connection ends by itself; a listening socket takes what nobody accepted with it."""
        if self.closed:
            return
        self.closed, self.on_receive = True, None
        if self.listener is not None:
            for child in [*self._children, *self.listener.waiting]:
                child.abort()
            self.listener = None
        self.tcp.unbind(self)
        if self.conn is not None:
            self.conn.close(self.stack.kernel.now)
            self._called()

    def abort(self) -> None:
        """Reset the connection (SO_LINGER of 0)."""
        self.closed, self.on_receive = True, None
        self.tcp.unbind(self)
        if self.conn is not None:
            self.conn.abort(self.stack.kernel.now)
            self._called()

    # -- events -----------------------------------------------------------------------------------------------------

    def arrive(self, segment: Segment) -> Drop | None:
        """Take a segment of this connection."""
        conn, parent = self.conn, self._parent
        assert conn is not None
        waiting = parent is not None and conn.state is State.SYN_RECEIVED
        full = waiting and parent is not None and parent.listener is not None and parent.listener.full
        if full and segment.flags & ACK and not segment.flags & RST:
            return Drop.TCP_LISTEN_OVERFLOW
        self._look_at_path()
        conn.arrive(segment, self.stack.kernel.now)
        if waiting and self.connected:
            self._established()
        self.settle()
        return None

    def _established(self) -> None:
        """The handshake is through: wait to be accepted."""
        parent, self._parent = self._parent, None
        assert parent is not None
        parent._children.remove(self)
        if parent.listener is not None:
            parent.listener.waiting.append(self)
            if parent.on_receive is not None:
                parent.on_receive(parent)

    def unreachable(self, number: int) -> None:
        """ICMP speaks of this connection."""
        if self.conn is not None:
            self.conn.unreachable(number, self.stack.kernel.now, fatal=True)
            self.settle()

    def path_changed(self) -> None:
        """A router says that the path's MTU fell; that waits while segments are sent (TCP_MTU_REDUCED_DEFERRED)."""
        if self._sending:
            self._reduced = True
            return
        route = self._route(self.flow[2])
        if self.conn is not None and not isinstance(route, int):
            self.conn.path_mtu(route.path_mtu, self.stack.kernel.now)
            self._mtu_of = route.dev, route.dev.mtu
        self.settle()

    def _look_at_path(self) -> None:
        """Before anything is cut: follow the MTU of the device, which may be another by now."""
        dev, mtu = self._mtu_of
        if dev is not None and dev.mtu != mtu and self.conn is not None:
            route = self._route(self.flow[2])
            if not isinstance(route, int):
                self._mtu_of = route.dev, route.dev.mtu
                self.conn.follow(route.path_mtu)

    def _expired(self) -> None:
        self._timer = None
        if self.conn is not None:
            due = self.conn.deadline
            if due is not None and due <= self.stack.kernel.now:
                self._look_at_path()
                self.conn.on_timer(self.stack.kernel.now)
            self.settle()

    # -- after each event ---------------------------------------------------------------------------------------------

    def _called(self) -> None:
        """After a call of the program's: send, and let it be received."""
        self.settle()
        self.stack.kernel.drain()

    def settle(self) -> None:
        """Send what there is to send, see to the timer, tell the program."""
        conn = self.conn
        if conn is None:
            return
        self._send_out(conn)
        self._set_timer(conn.deadline)
        if conn.state is State.CLOSED:
            self._gone()
        if conn.notices:
            conn.notices.clear()
            if self.on_receive is not None:
                self.on_receive(self)

    def _send_out(self, conn: Connection) -> None:
        """Send what there is; what is sent now may have an answer before it is over."""
        if self._sending:
            return
        self._sending = True
        while conn.out:
            out, conn.out = conn.out, []
            self._transmit(out)
        self._sending = False
        if self._reduced:
            self._reduced = False
            self.path_changed()

    def _gone(self) -> None:
        """The connection is over: its name is free."""
        if self.family.flows.get(self.flow) is self:
            del self.family.flows[self.flow]
        if self._parent is not None and self in self._parent._children:
            self._parent._children.remove(self)
        if self.closed:
            self.tcp.unbind(self)

    def _set_timer(self, due: int | None) -> None:
        """Keep one timer: a later deadline is found out when the earlier one comes."""
        if self._timer is not None:
            if due is not None and self._timer_ns <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer_ns = due
            self._timer = self.stack.kernel.at(due, partial(TcpSocket._expired, self))

    # -- packets ----------------------------------------------------------------------------------------------------

    def _route(self, address: int) -> Any:
        return self.family.find(address, self.src, self.bind_dev, self.tos, 0, TCP)

    def _transmit(self, segments: list[Segment]) -> None:
        """Send segments by the route of the moment."""
        route = self._route(self.flow[2])
        if isinstance(route, int) or self.conn is None:
            return
        self.conn.gso_max = self._gso_max(route)
        mss = route.path_mtu - self.conn.config.headers
        if mss < self.conn.path_mss:
            self.conn.path_mtu(route.path_mtu, self.stack.kernel.now)
        elif mss > self.conn.path_mss:
            self.conn.follow(route.path_mtu)
        self._mtu_of = route.dev, route.dev.mtu
        self.family.transmit(self, route, segments)
