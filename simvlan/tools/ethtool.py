"""ethtool 6.1: `-k` and `-K` offloads, `-i` driver, `-P`, and the settings of a device. Other requests are refused.

A feature turned off is kept by name in the device's `features_off`, one turned on against the default as `+name`.
"""

from __future__ import annotations

from simvlan.devices.device import Device
from simvlan.devices.veth import Veth
from simvlan.gro import Gro
from simvlan.segmentation import CHECKSUM, FOLLOWS, SCATTER_GATHER, SOFTWARE, TSO
from simvlan.tools.ethtool_features import features
from simvlan.tools.program import Process

BAD = "ethtool: bad command line argument(s)\nFor more information run ethtool -h\n"
NO_DEVICE = "netlink error: no device matches name (offset 24)\nnetlink error: No such device\n"
DRIVERS = {
    "veth": ("veth", "1.0", "", "", "yes"),
    "vlan": ("802.1Q VLAN Support", "1.8", "N/A", "", "no"),
    "macvlan": ("macvlan", "0.1", "", "", "no"),
    "ipvlan": ("ipvlan", "0.1", "", "", "no"),
    "bridge": ("bridge", "2.3", "N/A", "N/A", "no"),
    "dummy": ("dummy", "6.1.176", "", "", "no"),
}
"""Kind -> driver, version, firmware, bus, statistics."""
LEGACY = {
    "rx": ("rx-checksumming",),
    "tx": (
        "tx-checksum-ipv4",
        "tx-checksum-ip-generic",
        "tx-checksum-ipv6",
        "tx-checksum-fcoe-crc",
        "tx-checksum-sctp",
    ),
    "sg": ("tx-scatter-gather", "tx-scatter-gather-fraglist"),
    "tso": TSO,
    "gso": ("generic-segmentation-offload",),
    "gro": ("generic-receive-offload",),
    "lro": ("large-receive-offload",),
    "rxvlan": ("rx-vlan-offload",),
    "txvlan": ("tx-vlan-offload",),
    "ntuple": ("ntuple-filters",),
    "rxhash": ("receive-hashing",),
}
RECEIVE = "generic-receive-offload"
UNMODELLED = {"rx-gro-list", "rx-udp-gro-forwarding"}
"""Receive offloads of UDP, and of TCP in lists."""
LONG = {"tx-checksumming": "tx", "scatter-gather": "sg", "tcp-segmentation-offload": "tso"}
KERNEL_NAMES = {
    "rx-checksumming": "rx-checksum",
    "generic-segmentation-offload": "tx-generic-segmentation",
    "generic-receive-offload": "rx-gro",
    "large-receive-offload": "rx-lro",
    "rx-vlan-offload": "rx-vlan-hw-parse",
    "tx-vlan-offload": "tx-vlan-hw-insert",
    "ntuple-filters": "rx-ntuple-filter",
    "receive-hashing": "rx-hashing",
}
"""What a legacy name is called by the kernel."""
LATE = ("tx-checksum-fcoe-crc", "tx-checksum-sctp")
"""Features whose bits come after the others of their group."""
GROUPS = {"tx-checksumming": "tx", "scatter-gather": "sg", "tcp-segmentation-offload": "tso"}


class State:
    """A device's features: what each is, what is wanted, what can change."""

    def __init__(self, dev: Device) -> None:
        self.dev = dev
        self.listed = features(dev.kind)
        self.mark = {name: mark for name, mark, _ in self.listed if mark}

    def wanted(self, name: str) -> bool:
        """Whether a person or the default asks for a feature."""
        if f"+{name}" in self.dev.features_off:
            return True
        return self.mark[name] in ("+", "+f", "-r") and name not in self.dev.features_off

    def active(self, name: str) -> bool:
        """Whether a feature is on: wanted, possible, what it needs is there (netdev_fix_features), and below too."""
        lower = self.dev.lower
        follows = lower is not None and name in FOLLOWS.get(self.dev.kind, ())
        if self.mark[name] == "-f" or (self.mark[name] == "-r" and not follows):
            return False
        if name in LEGACY["tso"] and not self.active(CHECKSUM):
            return False
        if name in (*LEGACY["tso"], SOFTWARE) and not self.active(SCATTER_GATHER):
            return False
        if follows and lower is not None and not State(lower).active(name):
            return False
        return self.wanted(name)

    def fixed(self, name: str) -> bool:
        """Whether nobody can change a feature."""
        return self.mark[name].endswith("f")

    def ask(self, name: str, on: bool) -> None:
        """Want a feature or not."""
        if self.fixed(name):
            return
        off = self.dev.features_off
        off.discard(name)
        off.discard(f"+{name}")
        if on != self.wanted(name):
            off.add(f"+{name}" if on else name)

    def lines(self) -> list[str]:
        """Return the list as -k prints it."""
        return [self._line(name, mark, inner) for name, mark, inner in self.listed]

    def _line(self, name: str, mark: str, inner: bool) -> str:
        if not mark:
            on = any(self.active(each) for each in LEGACY[GROUPS[name]])
            return f"{name}: {'on' if on else 'off'}"
        note = " [fixed]" if self.fixed(name) else ""
        if not note and self.wanted(name) != self.active(name):
            note = " [requested on]"
        return f"{chr(9) if inner else ''}{name}: {'on' if self.active(name) else 'off'}{note}"


def change(proc: Process, dev: Device, words: list[str]) -> int:
    """-K: ask for features, tell what came of it where that is not exactly what was asked."""
    state = State(dev)
    asked: dict[str, bool] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        if value not in ("on", "off"):
            proc.write_err(f"ethtool (-K): flag '{value}' for parameter '(null)' is not followed by 'on' or 'off'\n")
            return 1
        names = _names(name, state)
        if proc.lab.network.gso and value == "on" and set(names) & UNMODELLED:
            proc.write_err(f"simvlan: ethtool -K {dev.name} {name} on is not modelled with --gso (gro is)\n")
            return 1
        if not names:
            proc.write_err("netlink error: bit name not found (offset 52)\nnetlink error: Operation not supported\n")
            return 92
        asked.update(dict.fromkeys(names, value == "on"))
    before = {name: state.active(name) for name in state.mark}
    for name, on in asked.items():
        state.ask(name, on)
    if isinstance(dev, Veth):
        _poll_or_not(dev, proc.lab.network.gso and state.active(RECEIVE))
    return _outcome(proc, state, before, asked)


def _poll_or_not(dev: Veth, merges: bool) -> None:
    """A veth is polled, and merges what it takes in, once its receive offload is asked for (veth_napi_enable)."""
    if merges != (dev.gro is not None):
        dev.gro = Gro() if merges else None


def _names(name: str, state: State) -> tuple[str, ...]:
    name = LONG.get(name, name)
    back = {kernel: legacy for legacy, kernel in KERNEL_NAMES.items()}
    return LEGACY.get(name) or ((back.get(name, name),) if back.get(name, name) in state.mark else ())


def _outcome(proc: Process, state: State, before: dict[str, bool], asked: dict[str, bool]) -> int:
    place = {name: number for number, name in enumerate(state.mark)}
    place[SOFTWARE] = place[LEGACY["tso"][0]] - 1  # by the numbers of their bits
    order = sorted(state.mark, key=lambda name: (name in LATE, place[name]))
    lines, surprising, changed = [], False, False
    for name in order:
        now, shown = state.active(name), KERNEL_NAMES.get(name, name)
        if now != before[name]:
            changed = True
            expected = asked.get(name) == now
            surprising |= not expected
            lines.append(f"{shown}: {'on' if now else 'off'}{'' if expected else ' [not requested]'}\n")
        elif name in asked and asked[name] != now:
            surprising = True
            lines.append(f"{shown}: {'on' if now else 'off'} [requested {'on' if asked[name] else 'off'}]\n")
    if surprising:
        proc.write("Actual changes:\n" + "".join(lines))
    if surprising and not changed:
        proc.write_err("Could not change any device features\n")
        return 1
    return 0


def driver(proc: Process, dev: Device | None) -> int:
    """-i: the driver."""
    if dev is None or dev.kind not in DRIVERS:
        why = "No such device" if dev is None else "Operation not supported"
        proc.write_err(f"Cannot get driver information: {why}\n")
        return 71
    name, version, firmware, bus, statistics = DRIVERS[dev.kind]
    proc.write(
        f"driver: {name}\nversion: {version}\nfirmware-version: {firmware}\nexpansion-rom-version: \nbus-info: {bus}\n"
        f"supports-statistics: {statistics}\nsupports-test: no\nsupports-eeprom-access: no\n"
        "supports-register-dump: no\nsupports-priv-flags: no\n"
    )
    return 0


def settings(proc: Process, dev: Device | None) -> int:
    """Without an option: the link settings; a veth claims ten gigabits, a bridge knows nothing."""
    if dev is None:
        proc.write_err(NO_DEVICE * 5)
        proc.write("No data available\n")
        return 75
    if dev.kind not in ("veth", "bridge"):
        proc.write_err(f"simvlan: the link settings of a {dev.kind or 'loopback'} device are not modelled\n")
        return 1
    veth = dev.kind == "veth"
    speed = ("10000Mb/s", "Full", "Twisted Pair") if veth else ("Unknown!", "Unknown! (255)", "Other")
    unknown = "".join(f"\t{what}\n" for what in _NO_MODES)
    tail = "\tMDI-X: Unknown\n" if veth else ""
    proc.write(
        f"Settings for {dev.name}:\n{unknown}\tSpeed: {speed[0]}\n\tDuplex: {speed[1]}\n\tAuto-negotiation: off\n"
        f"\tPort: {speed[2]}\n\tPHYAD: 0\n\tTransceiver: internal\n{tail}"
        f"\tLink detected: {'yes' if dev.up and dev.carrier else 'no'}\n"
    )
    return 0


_NO_MODES = (
    "Supported ports: [  ]",
    "Supported link modes:   Not reported",
    "Supported pause frame use: No",
    "Supports auto-negotiation: No",
    "Supported FEC modes: Not reported",
    "Advertised link modes:  Not reported",
    "Advertised pause frame use: No",
    "Advertised auto-negotiation: No",
    "Advertised FEC modes: Not reported",
)
LONG_FLAGS = {"--show-features": "-k", "--show-offload": "-k", "--features": "-K", "--offload": "-K", "--driver": "-i",
              "--show-permaddr": "-P"}  # fmt: skip


def main(proc: Process) -> int:
    """Show or change what a device's driver can do."""
    words = proc.argv[1:]
    flag = LONG_FLAGS.get(words[0], words[0]) if words and words[0].startswith("-") else ""
    rest = words[1:] if flag else words
    if flag == "--version":
        proc.write("ethtool version 6.1\n")
        return 0
    if flag and flag not in ("-k", "-K", "-i", "-P"):
        proc.write_err(f"simvlan: ethtool {flag} is not modelled (-k, -K, -i and -P are)\n")
        return 1
    if not rest or (flag == "-K" and (len(rest) < 3 or len(rest) % 2 == 0)):
        proc.write_err(BAD)
        return 1
    dev: Device | None = proc.lab.network.netns[proc.netns].devices.get(rest[0])
    return _do(proc, flag, dev, rest)


def _do(proc: Process, flag: str, dev: Device | None, rest: list[str]) -> int:
    if flag == "-i":
        return driver(proc, dev)
    if flag == "":
        return settings(proc, dev)
    if dev is None:
        proc.write_err(NO_DEVICE)
        return 92 if flag == "-K" else 1
    if flag == "-K":
        return change(proc, dev, rest[1:])
    if flag == "-P":
        proc.write("Permanent address: not set\n")
        return 0
    proc.write(f"Features for {dev.name}:\n" + "".join(f"{line}\n" for line in State(dev).lines()))
    return 0
