"""The simulator's side of a running script: it answers shims, and moves virtual time when everybody waits.

The rule that makes a run repeatable: nothing is done while any process of the script can run. What was asked meanwhile
is begun in the order in which the script started the processes; only when nothing is asked does time go to the next
event, one instant at a time, until somebody has been told something.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from simvlan.shell import wire
from simvlan.shell.client import Client
from simvlan.shell.processes import ancestry
from simvlan.shell.runner import Runner
from simvlan.shell.sandbox import Sandbox
from simvlan.shell.sysctls import NetworkKernel, Sysctls
from simvlan.shell.sysnet import SysNet
from simvlan.tools.program import FOREVER, next_event

PATIENCE_S = 5.0
"""Wall time for which a script that never waits holds virtual time, if it really computes that long."""
BUSY_SHARE = 0.5
"""The part of that time it must have had a CPU: on a loaded machine everybody is slow."""
LAST_PATIENCE = 6
"""Times that after which no reason helps any more."""
IMPATIENCE_S = 0.1
GRACE_S = 2.0
"""Wall time that background commands get to end after the script has."""
STUCK_S = 2.0
SLICE_S = 0.05
"""Wall time after which a long stretch of simulation looks at the sockets again."""
HOLD_S = 0.2
"""Wall time for which a signal for the script waits for such a moment."""
INSISTED = 2
"""Signals we pass on politely; the next one ends the run."""


class Guests(Protocol):
    """Programs of the script that talk to the simulator over sockets of their own, such as the docker CLI's.

    To the rule above they are shims: a request waits until nobody can run, an answer is delivered to one at a time.
    """

    asked: bool
    """Requests wait to be begun."""
    unsent: bool
    """Output waits to be delivered."""
    waiting: bool
    """Somebody waits for virtual time to pass."""
    held_up: bool
    """Somebody does not take what was delivered."""

    def begin(self) -> None:
        """Begin the requests, in the order in which they came."""

    def flush_one(self) -> None:
        """Deliver to one of them."""

    def reap(self) -> None:
        """Notice who has left."""

    def close(self) -> None:
        """Let go of everything."""


class Server:
    """Serves one sandbox until its script has ended."""

    def __init__(self, lab: Any, sandbox: Sandbox, *, pace: Callable[[], bool] = lambda: False) -> None:
        self.lab = lab
        self.sandbox = sandbox
        self.pace = pace
        """Whether virtual time is to keep to the wall's just now (an interactive shell at its prompt)."""
        self.clients: dict[int, Client] = {}
        self.waiting: list[Client] = []
        """Requests that have not begun."""
        faked = getattr(lab, "proc_sys", None)
        links = None if faked else SysNet(lab, sandbox.directory)
        self.sysctls = Sysctls(faked or NetworkKernel(lab.network), sandbox.directory, links)
        self.stderr = 2
        self.status: int | None = None
        self.over = False
        self.signalled: list[int] = []
        self._held: list[int] = []
        """Signals for the script that wait for a moment at which nobody can miss them."""
        self._ended: list[tuple[Client, int]] = []
        """Commands whose end has not been told."""
        self._outbox: deque[tuple[Client, bytes]] = deque()
        """What is to be told, in order."""
        self._interrupted = self._talked = self._killed = False
        self._times_signalled = 0
        self._patience = PATIENCE_S
        self._noted_stuck = False
        self.runner = Runner(self, self.sysctls, lambda client, status: self._ended.append((client, status)))
        self.guests: Guests | None = None
        self.selector = self._selector = selectors.DefaultSelector()
        self._selector.register(sandbox.listener, selectors.EVENT_READ, self._accept)

    # -- the loop ----------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve the started sandbox until nobody is left; the script's exit status."""
        self._selector.register(self.sandbox.control, selectors.EVENT_READ, self._hear_init)
        try:
            self._serve_all()
        finally:
            self._interrupted = False
            self._run_due()  # what was cut short closes its files
        return self.status if self.status is not None else 128 + signal.SIGKILL

    def close(self) -> None:
        """Let go of everything it watches."""
        if self.guests is not None:
            self.guests.close()
        self._selector.close()
        self.sysctls.close()

    def _serve_all(self) -> None:
        while not self.over:
            if not self._pending():
                self._poll(None)
            elif self._everyone_waits():
                if self._held:
                    self._pass_on()
                    continue
                if not self._unheard():
                    self._act()
                self._deliver()
            if self.status is not None and not self.over:
                self._wind_up()

    def _pending(self) -> bool:
        running = any(client.running is not None for client in self.clients.values())
        return bool(self.waiting or self._outbox or self._held) or running or self._guests("asked", "unsent", "waiting")

    def _unheard(self) -> bool:
        return bool(self._outbox) or self._guests("unsent")

    def _guests(self, *what: str) -> bool:
        """Whether one of these holds of the guests, if there are any."""
        return self.guests is not None and any(getattr(self.guests, each) for each in what)

    def _poll(self, timeout: float | None) -> bool:
        """Take what has arrived; False when nothing had."""
        ready = self._selector.select(timeout)
        for key, mask in ready:
            key.data(mask)
        self._obey_signals()
        return bool(ready)

    def _everyone_waits(self) -> bool:
        """Wait until no process can run and nothing is unread; False when there is no more to act for."""
        tree, pause = self.sandbox.tree, 0.0001
        start, used = time.monotonic(), tree.cpu_seconds()
        while not self.over and self._pending() and self.status is None:
            # The order matters: first everybody asleep, then nothing unread.
            if tree.waiting() and not self._poll(0):
                self._patience = min(PATIENCE_S, self._patience * 2)
                return True
            passed = time.monotonic() - start
            if self._held and passed > HOLD_S:
                self._pass_on()
            if passed > self._patience:
                worked = max((spent - used.get(pid, 0.0) for pid, spent in tree.cpu_seconds().items()), default=0.0)
                if worked > self._patience * BUSY_SHARE or passed > self._patience * LAST_PATIENCE:
                    self._lose_patience()
                    return True
            if self._poll(pause):
                start, used = time.monotonic(), tree.cpu_seconds()
            pause = min(pause * 1.5, 0.005)
        return False

    def _lose_patience(self) -> None:
        tree = self.sandbox.tree
        busy = tree.ignore_busy()
        if self._patience >= PATIENCE_S:
            who = ", ".join(f"`{tree.name(pid)}` (pid {pid})" for pid in busy) or "the script"
            self.warn(f"{who} has not waited for {PATIENCE_S:g} s; virtual time goes on without it")
        self._patience = IMPATIENCE_S

    def warn(self, text: str) -> None:
        """One line on the script's standard error."""
        with contextlib.suppress(OSError):
            os.write(self.stderr, f"simvlan: {text}\n".encode())

    # -- acting ------------------------------------------------------------------------------------------------

    def _act(self) -> None:
        """Begin what was asked for, or let time pass until somebody is told something."""
        self._talked = self._interrupted = False
        self.sysctls.collect(self.warn)
        if self.guests is not None:
            self.guests.reap()
        self._run_due()
        if self._talked or self._guests("unsent"):
            pass  # somebody may want to answer first
        elif self.waiting or self._guests("asked"):
            self._begin_all()
        else:
            self._advance()
        self._tell_ended()

    def _begin_all(self) -> None:
        """Begin what was asked for, in the order in which the script started the processes."""
        top = self.sandbox.launcher.pid
        begin, self.waiting = sorted(self.waiting, key=lambda client: ancestry(client.pid, top)), []
        for client in begin:
            self.runner.begin(client)
        if self.guests is not None:
            self.guests.begin()
        self._run_due()

    def _tell_ended(self) -> None:
        """Commands that took no time are told so only when /proc shows what they did."""
        if self._ended:
            self.sysctls.publish()
        ended, self._ended = self._ended, []
        for client, status in ended:
            client.finish(status)

    def _run_due(self) -> None:
        """Everything that is due now, before time or anybody's next command."""
        self._instant(self.lab.env.now)

    def _instant(self, moment: float) -> None:
        step, steps, self._killed = self.lab.step, 0, False
        while next_event(self.lab) <= moment and not self._interrupted and not self._killed:
            step()
            steps += 1
            if steps % 4096 == 0:
                self._poll(0)  # a storm must not make us deaf to Ctrl-C

    def _advance(self) -> None:
        """Instant after instant, until somebody has been told something or the slice is used up."""
        until = time.monotonic() + SLICE_S
        while not self._talked and time.monotonic() < until and not self._interrupted:
            if self._guests("unsent", "held_up"):
                return
            moment = next_event(self.lab)
            if moment == FOREVER:
                self._stuck()
                return
            if self.pace() and not self._keep_pace(moment):
                return
            self._instant(moment)

    def _keep_pace(self, moment: float) -> bool:
        """Wait on the wall clock for the next event; False when something else happened first."""
        wait = (moment - self.lab.env.now) / 1e9
        return wait <= 0 or not self._poll(wait)

    def _stuck(self) -> None:
        """Nothing can ever happen again by itself: say so once, and wait for the script."""
        start = time.monotonic()
        while not self._poll(0.1) and self._pending() and self.status is None:
            if not self._noted_stuck and time.monotonic() - start > STUCK_S:
                self._noted_stuck = True
                waiting = [c.process.argv for c in self._by_pid() if c.running is not None and c.process is not None]
                names = ", ".join(f"`{' '.join(argv)}`" for argv in waiting[:3]) or "a client of a container"
                self.warn(f"nothing more can happen in the network; still waiting: {names}")

    def _by_pid(self) -> list[Client]:
        return sorted(self.clients.values(), key=lambda client: client.pid)

    # -- sockets -----------------------------------------------------------------------------------------------

    def _accept(self, _mask: int) -> None:
        try:
            while True:
                sock, _ = self.sandbox.listener.accept()
                client = Client(sock, self._post)
                self.clients[sock.fileno()] = client
                self._selector.register(sock, selectors.EVENT_READ, lambda mask, it=client: self._serve(it, mask))
        except BlockingIOError:
            return

    def _serve(self, client: Client, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            client.flush()
        if mask & selectors.EVENT_READ:
            had_signals = client.signals is not None
            for kind, payload in client.receive():
                self._take(client, kind, payload)
            if client.signals is not None and not had_signals:
                self._selector.register(
                    client.signals, selectors.EVENT_READ, lambda _mask, it=client: self._hear_signals(it)
                )
        if client.gone:
            self._drop(client)
        else:
            self._watch(client)

    def _take(self, client: Client, kind: str, payload: bytes) -> None:
        if kind == "R":
            try:
                client.request = wire.read_request(payload)
            except ValueError:
                client.gone = True
                return
            self.waiting.append(client)
        elif kind == "I" and client.take_input(payload):
            self.waiting.append(client)
        elif kind == "C" and client.child_ended is not None and not client.child_ended.triggered:
            client.child_ended.succeed(int(payload))

    def _hear_signals(self, client: Client) -> None:
        for number in client.caught():
            if number == signal.SIGCHLD:
                client.send("W")
            else:
                client.interrupt(signal.Signals(number).name)
        if client.deaf:
            self._hang_up(client)

    def _hang_up(self, client: Client) -> None:
        """No more signals from this client."""
        if client.signals is not None and client.signals.fileno() >= 0:
            self._selector.unregister(client.signals)
            client.signals.close()

    def _post(self, client: Client, data: bytes) -> None:
        """A client is to be sent something: it, or a reader of its output, may act on it."""
        self._talked = True
        # Nothing else may happen in this instant to somebody who was killed at its beginning.
        self._killed = self._killed or data.startswith(b"K")
        self._outbox.append((client, data))

    def _deliver(self) -> None:
        """Deliver to one client. The next one's turn comes when everybody waits again: they may write to one file."""
        if self._outbox:
            client, data = self._outbox.popleft()
            parts = [data]
            while self._outbox and self._outbox[0][0] is client:
                parts.append(self._outbox.popleft()[1])
            client.deliver(b"".join(parts))
            self._watch(client)
        elif self.guests is not None:
            self.guests.flush_one()

    def _watch(self, client: Client) -> None:
        """Wait for room to write only while there is something to write."""
        if client.sock.fileno() >= 0 and not client.gone:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.blocked else 0)
            key = self._selector.get_key(client.sock)
            if key.events != events:
                self._selector.modify(client.sock, events, key.data)

    def _drop(self, client: Client) -> None:
        """A client has left: its command ends, unheard."""
        self.clients.pop(client.sock.fileno(), None)
        self._selector.unregister(client.sock)
        self._hang_up(client)
        if client in self.waiting:
            self.waiting.remove(client)
        if client.running is not None or client.left_behind is not None:
            client.interrupt("SIGKILL")
        client.close()

    # -- the script's end, and ours ----------------------------------------------------------------------------

    def _hear_init(self, _mask: int) -> None:
        for news in self.sandbox.news():
            if "exited" in news:
                code = int(news["exited"])
                self.status = self.status or (code if code >= 0 else 128 - code)
            elif "stopped" in news:
                self.sandbox.stop_with_script()
            elif "over" in news:
                self.over = True
                self._selector.unregister(self.sandbox.control)

    def _wind_up(self) -> None:
        """The script has ended: let readers of its output finish, then end what still runs in the background."""
        self._settle(PATIENCE_S, lambda: self.sandbox.tree.waiting() and not self._unheard())
        self.sandbox.signal_all(signal.SIGTERM)
        until = time.monotonic() + GRACE_S
        while not self.over and time.monotonic() < until:
            self._poll(0.005)
            if self.sandbox.tree.waiting():
                if not self._outbox:
                    self._run_due()
                self._deliver()
        if not self.over:
            self.sandbox.signal_all(signal.SIGKILL)
            self._settle(GRACE_S, lambda: False)
        self.over = True

    def _settle(self, limit: float, done: Callable[[], bool]) -> None:
        until = time.monotonic() + limit
        while not self.over and time.monotonic() < until:
            if not self._poll(0.001) and done():
                return
            if self._unheard() and self.sandbox.tree.waiting():
                self._deliver()

    def wake_on(self, woken: socket.socket) -> None:
        """Stop waiting when something arrives here; what it is says `signalled`."""
        self._selector.register(woken, selectors.EVENT_READ, lambda _mask: woken.recv(256))

    def _obey_signals(self) -> None:
        """Ctrl-C and its like, when they are sent to us: pass them on to the script, insist when repeated."""
        while self.signalled:
            number = self.signalled.pop(0)
            self._interrupted = True
            self._times_signalled += 1
            if self._times_signalled > INSISTED:
                self.status = 128 + number
                self.sandbox.signal_all(signal.SIGKILL)
            else:
                self._held.append(number)

    def _pass_on(self) -> None:
        """Signal the script, if possible while everybody sleeps.

        A shell reacts to Ctrl-C only if the command it waits for dies of it, and one that is just starting or ending
        cannot (its interpreter would swallow it): so it is best when all commands wait for us.
        """
        for number in self._held:
            self.sandbox.signal_group(number)
        self._held.clear()
