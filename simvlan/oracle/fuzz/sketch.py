"""A network that grows by commands: each is run on the simulator at once, so that the next can choose among what is.

What comes out is lines. They are made so that a kernel does the same with them every time: addresses are given, not
drawn; what acts after a while (linkwatch) is waited for; neighbour timers are out of the way; and multicast is sent
where no filter lets groups through by chance (`certain`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from simvlan.devices.device import Device
from simvlan.frame import BROADCAST, mac_text
from simvlan.oracle.fuzz import ipv6 as six
from simvlan.oracle.fuzz import ipv6_timed as six_timed
from simvlan.oracle.fuzz.clocks import LISTENERS, NEIGHBOURS, Clock, is_pause
from simvlan.oracle.fuzz.world import World, listing_of

SETTLE = "sleep 3.2"
"""Linux looks at changes of carrier at most once a second, and what it does then may be such a change for another."""

BRIEFLY = "sleep 1.2"
"""Where what was learned ages: as often as it takes."""

FOREIGN = (0x0100_5E00_0081, 0x0180_C200_0000, 0x0180_C200_0001, 0x0180_C200_0003, 0x0180_C200_0008, 0x0180_C200_000E)
"""Groups nobody joins. A guest whose ipvlan filters confuse one of them with a joined one is replaced (luck.py)."""

WANTED = (0x0100_5E01_0101, 0x0100_5E01_0102)
"""Groups that stations join as IGMP tells, 239.1.1.1 and 239.1.1.2: bridges know of them, no device's filter does."""

NEIGHBOUR = ("retrans_time_ms=90000", "delay_first_probe_time=3600", "locktime=360000")
"""Questions are repeated, entries probed and replaced after these times; a scenario is over long before."""


_FIRST_INDEX = 100
"""Beyond those that namespaces give by themselves."""

CALM_S = 8
"""So many seconds before the end of a true sleep nothing changes any more."""

LINES, SOON_NS, RESTS = 30, 6_000_000_000, 4
"""With IPv6 so many lines at most follow each other between two true sleeps; such a one goes on until no timer is due
for so long, or is given up after so many."""

COPIES = 150
"""How often one frame may be seen before its network is taken to hold a loop: one that adds a tag each time ends."""


class Storm(Exception):  # noqa: N818 - a finding, not an error
    """The network holds a loop, so that frames would circle for ever on a kernel too; or it takes too long."""


class Sketch:
    """The lines so far, and the network they make.

    Attributes:
        host: leave out what the host's kernel may lack.
        addressed: devices get IPv4 addresses, so that stacks answer.
        filtering: bridges may filter VLANs.
        snooping: bridges may look for groups (IGMP), and stations join them.
        ipv6: namespaces have IPv6 (fuzz/ipv6.py).
        clock: what time matters for (clocks.py), if it does: then the network is plain otherwise.
        doubtful: groups may be sent that a macvlan's filter lets in by chance; what a kernel does counts once it has
            done it twice (crew.py).
    """

    def __init__(
        self, rng: Random, *, host: bool, snooping: bool = False, ipv6: bool = False, clock: Clock | None = None
    ) -> None:
        self.rng, self.host, self.snooping, self.ipv6, self.clock = rng, host, snooping, ipv6, clock
        self.lines: list[str] = []
        self.world = World(rounds=ipv6, several=host)
        self.spaces = [f"n{number}" for number in range(1, rng.choice((3, 3, 4)))]
        self.addressed = not host and rng.random() < 0.4
        self.filtering = not host and rng.random() < 0.6
        self.doubtful = rng.random() < 0.15
        if clock:
            self.addressed = self.doubtful = False
        self._names = 0
        self._quiet: set[tuple[str, int]] = set()
        self._changed = False
        """Whether something was changed since the last true sleep."""
        self.spoken = False
        """Whether frames were sent since then."""
        self._since_pause = 0
        """How many lines there were since."""
        self._busy_since: int | None = None
        """When the first was sent or entered since, in ns."""

    # -- lines --------------------------------------------------------------------------------------------------------

    def send(self, dev: Device, octets: bytes) -> None:
        """Have a device send a frame."""
        self.do(f"simvlan send --netns {dev.netns.name} {dev.name} --hex {octets.hex()}")

    def do(self, line: str) -> bool:
        """Give a line to the simulator and keep it for the kernel; whether it succeeded."""
        if line.startswith("simvlan") or " up" in line:
            self.settle()
        if self.clock:
            (self._keep_time6 if self.clock.ipv6 else self._keep_time)(self.clock, line)
        self.lines.append(line)
        done = self.world.do(line)
        if self.world.net.storms or self.world.copies > COPIES:
            raise Storm
        if any(dev.up for dev in self.world.net.linkwatch.unhurried):
            self.settle()
        self._hush()
        return done

    @property
    def clock6(self) -> Clock | None:
        """The clock of a network with IPv6."""
        return self.clock if self.clock and self.clock.ipv6 else None

    @property
    def listeners(self) -> bool:
        """Whether bridges listen to MLD."""
        return self.clock is LISTENERS

    @property
    def neighbours(self) -> bool:
        """Whether duplicates, routers and neighbours' timers matter."""
        return self.clock is NEIGHBOURS

    def _keep_time6(self, clock: Clock, line: str) -> None:
        """Sleep before a timer may end among lines that follow each other; listings come when all is calm."""
        if not any(dev.up for dev in self.devices):
            return
        self._since_pause += 1
        began = self._busy_since
        late = began is not None and self.world.lab.now - began > clock.limit_s * 1e9
        if late or self._since_pause > LINES or (began is not None and listing_of(line)):
            self.rest(clock.longer if self.spoken else clock.pause)
        self.spoken |= line.startswith("simvlan")
        if not line.startswith("sleep") and not listing_of(line) and self._busy_since is None:
            self._busy_since = self.world.lab.now

    def rest(self, line: str) -> None:
        """Sleep until no timer is about to end."""
        for _ in range(RESTS):
            self.lines.append(line)
            self.world.do(line)
            due = self.world.lab.clock.peek()
            if due is None or due > self.world.lab.now + SOON_NS:
                self.spoken, self._busy_since, self._since_pause = False, None, 0
                return
        raise Storm

    def _hush(self) -> None:
        """Let IPv6 say what a line has made it want to say."""
        for _ in range(4 if self.ipv6 else 0):
            due = self.world.lab.clock.peek()
            if due is None or due > self.world.lab.now + six.QUIET_NS:
                return
            self.lines.append(six.QUIET)
            self.world.do(six.QUIET)

    def settle(self) -> None:
        """Let linkwatch look at what could wait.

        When within a second it looks is chance, so it has to before that can matter: at once where the device is up,
        else before any comes up, before frames and before listings.
        """
        linkwatch = self.world.net.linkwatch
        line = SETTLE if self.clock is None else BRIEFLY
        while linkwatch.unhurried or linkwatch.waiting:
            self.lines.append(line)
            self.world.do(line)
            linkwatch.unhurried.clear()
            if self.ipv6:
                self.lines.append(six.QUIET)
                self.world.do(six.QUIET)

    def _keep_time(self, clock: Clock, line: str) -> None:
        """Sleep after a change before ports have to be calm; see that what was learned is never about to age."""
        since, asks = self._busy_since, line.startswith("simvlan") or " fdb " in line
        if clock.limit_s and since is not None and self.world.lab.now - since > clock.limit_s * 1e9:
            raise Storm
        if asks and self._changed and (since is not None or not clock.limit_s):
            self._pause(clock.pause)
            self._changed, since = False, None
        self._busy_since = self.world.lab.now if asks and since is None else since
        self._changed |= not line.startswith(("simvlan", "sleep")) and " show" not in line

    def _pause(self, line: str) -> None:
        """Sleep, and see that ports are calm well before the end: some networks never come to a tree."""
        states: list[list[object]] = []
        end = self.world.lab.now + int(float(line.split()[1]) * 1e9)
        for before in range(1, CALM_S + 1):
            self.world.lab.clock.at(end - before * 1_000_000_000, lambda: states.append(self._states()))
        self.lines.append(line)
        self.world.do(line)
        if any(seen != self._states() for seen in states):
            raise Storm

    def _states(self) -> list[object]:
        return [(port.path, port.rx_handler.state) for port in self.ports]

    def replay(self, lines: Iterable[str]) -> None:
        """Do lines of another sketch, waiting anew where it must be."""
        for line in lines:
            if not is_wait(line):
                if listing_of(line):
                    self.settle()
                self.do(line)

    def quieten(self) -> None:
        """Put neighbour timers out of the way at every device that is new where it is."""
        for dev in self.devices if self.addressed or self.ipv6 else ():
            if (dev.path, dev.ifindex) not in self._quiet:
                self._quiet.add((dev.path, dev.ifindex))
                if self.ipv6:
                    (six_timed.hurry if self.clock is NEIGHBOURS else six.quieten)(self, dev)
                for knob in NEIGHBOUR if self.addressed else ():
                    self.do(f"ip netns exec {dev.netns.name} sysctl -qw net.ipv4.neigh.{dev.name}.{knob}")

    def set(self, dev: Device, what: str) -> bool:
        """`ip link set`."""
        return self.do(f"ip {at(dev)} link set {dev.name} {what}")

    # -- choosing -----------------------------------------------------------------------------------------------------

    @property
    def devices(self) -> list[Device]:
        """Every device but the loopbacks."""
        return [dev for dev in self.world.net.devices() if dev.kind]

    @property
    def ports(self) -> list[Device]:
        """Every bridge port."""
        return [dev for dev in self.devices if dev.master is not None]

    def pick(self, *kinds: str) -> Device | None:
        """Any device, or any of these kinds."""
        found = [dev for dev in self.devices if not kinds or dev.kind in kinds]
        return self.rng.choice(found) if found else None

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.rng.random() < probability

    def name(self, prefix: str) -> str:
        """A name not used before."""
        self._names += 1
        return f"{prefix}{self._names}"

    def number(self, name: str) -> str:
        """With IPv6 an index that no other device has anywhere.

        Else a device whose link has the same one in another namespace is none that linkwatch hurries for
        (linkwatch_urgent_event), and what its neighbour reports meanwhile comes before or after by chance.
        """
        return f"index {_FIRST_INDEX + int(''.join(filter(str.isdigit, name)))} " if self.ipv6 else ""

    def mac(self, last: int = 0) -> str:
        """Mostly an address of its own, now and then somebody's."""
        if not last and not self.listeners and self.chance(0.1) and self.devices:
            return mac_text(self.rng.choice(self.devices).mac)
        number = self._names * 16 + last
        return mac_text(six.mac(self, number) if self.ipv6 else 0x02_00_00_00_00_00 + number)

    # -- certainty ----------------------------------------------------------------------------------------------------

    def certain(self, dst: int) -> bool:
        """Whether every multicast filter decides about a destination without chance.

        Filters are hashes of 256 bits. Ipvlan's has a secret of the boot: see FOREIGN. A macvlan's mixes the address of
        a kernel structure in (mc_hash), so a group that it has not joined gets in one time in 256: only a network that
        is `doubtful` sends such.
        """
        if dst == BROADCAST or not dst >> 40 & 1:
            return True
        return all(self._decides(dev, dst) for dev in self.devices if dev.kind in ("macvlan", "ipvlan"))

    def _decides(self, dev: Device, dst: int) -> bool:
        if dst in dev.mc or dev.promiscuity or dev.allmulti:
            return True
        known = (*FOREIGN, *WANTED, six.ALL_NODES_MAC, *six.GROUPS6) if self.ipv6 else (*FOREIGN, *WANTED)
        return dst in known and (dev.kind == "ipvlan" or self.doubtful)


def is_wait(line: str) -> bool:
    """Whether a line is one that a sketch puts in where something has to be waited for."""
    return line in (SETTLE, BRIEFLY, six.QUIET) or (is_pause(line) and line not in six_timed.CHOSEN)


def at(dev: Device) -> str:
    """The option for a device's namespace."""
    return f"-n {dev.netns.name}"


Step = Callable[[Sketch], object]
