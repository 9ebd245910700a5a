"""Labs of nodes and the links between them, from Python or from a containerlab topology file (`*.clab.yml`).

The subset of containerlab's format that says how nodes are wired: name, topology.nodes (kind linux, bridge or host;
exec, sysctls), topology.links (veth, short and long form, mtu, mac), defaults and kinds. What has no bearing on a frame
(image, ports, env ...) is read over; anything else is refused by name. Two labels of our own make a bridge a
hypervisor's switch: `simvlan.virtual-switch: "true"` on the bridge, and on a node with a NIC there its policy,
`simvlan.promiscuous.eth1: allow-all`. A third lays an underlay: `simvlan.underlay: WORD` on a bridge,
for all that hangs on it, `simvlan.underlay.eth1: WORD` on a node for one NIC.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simvlan.errors import RtnlError
from simvlan.frame import parse_mac
from simvlan.rtnl import LinkSpec, PeerSpec, link_add, link_set
from simvlan.rtnl.sysctl import sysctl_set
from simvlan.underlay import DENY, POLICIES, VirtualBox, lay

if TYPE_CHECKING:
    from simvlan.lab import Lab
    from simvlan.network import Netns

LINUX, BRIDGE, HOST = KINDS = ("linux", "bridge", "host")
DEFAULT_MTU = 9500
"""What containerlab gives a veth link that names no MTU."""
SWITCH_LABEL, POLICY_LABEL = "simvlan.virtual-switch", "simvlan.promiscuous."
UNDERLAY_LABEL = "simvlan.underlay"

_NO_BEARING = """
binds cap-add cmd cpu cpu-set devices dns enforce-startup-config entrypoint env env-files group healthcheck image
image-pull-policy license memory mgmt-ipv4 mgmt-ipv6 mgmt_ipv4 mgmt_ipv6 position ports publish restart-policy runtime
shm-size startup-config startup-delay type user
"""
NO_BEARING = frozenset(_NO_BEARING.split())
NODE_KEYS = frozenset({"kind", "exec", "sysctls", "labels"})
TOP_KEYS = frozenset({"name", "topology", "prefix", "mgmt", "settings"})


class TopologyError(ValueError):
    """A topology that cannot be built; the text names the file, the place in it, and what to do."""


@dataclass
class Node:
    """One node.

    Attributes:
        kind: linux (a namespace with an engine), bridge (a Linux bridge on the host) or host (the host itself).
        exec: commands run in it once everything is wired.
        policies: promiscuous policy by NIC, on a virtual switch.
        virtual_switch: a bridge that is a hypervisor's switch.
        underlays: words by NIC; by the empty name, a bridge's own: for everything that hangs on it.
    """

    name: str
    kind: str = LINUX
    exec: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    virtual_switch: bool = False
    underlays: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """One end of a link."""

    node: str
    nic: str
    mac: str = ""


@dataclass(frozen=True)
class Link:
    """One veth pair."""

    a: End
    b: End
    mtu: int = DEFAULT_MTU


@dataclass
class Topology:
    """Nodes and links."""

    name: str = "lab"
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)

    def node(self, name: str, kind: str = LINUX, **more: Any) -> Topology:
        """Add a node; returns the topology, for chains."""
        if kind not in KINDS:
            raise TopologyError(f"node {name!r}: kind {kind!r} is not simulated; there is {', '.join(KINDS)}")
        self.nodes[name] = Node(name, kind, **more)
        return self

    def link(self, a: str, b: str, mtu: int = DEFAULT_MTU) -> Topology:
        """Add a link between `node:nic` and `node:nic`."""
        self.links.append(Link(_end(a, "link"), _end(b, "link"), mtu))
        return self

    @property
    def engines(self) -> list[str]:
        """The nodes that have an engine."""
        return [node.name for node in self.nodes.values() if node.kind == LINUX]

    def build(self, lab: Lab) -> list[str]:
        """Make it all in a lab; returns the names of the nodes that have an engine.

        Raises:
            TopologyError: a link names an unknown node, a name is taken, a command fails.
        """
        self._check()
        for node in self.nodes.values():
            _make(lab, node)
        for link in self.links:
            self._wire(lab, link)
        for node in self.nodes.values():
            _prepare(lab, node)
        for node in self.nodes.values():
            _underlay(lab, node)
        return self.engines

    def _check(self) -> None:
        seen: set[tuple[str, str]] = set()
        for number, link in enumerate(self.links):
            for end in (link.a, link.b):
                if end.node not in self.nodes and end.node != HOST:
                    raise TopologyError(f"links[{number}]: there is no node {end.node!r}")
                if (end.node, end.nic) in seen:
                    raise TopologyError(f"links[{number}]: {end.node}:{end.nic} is used twice")
                seen.add((end.node, end.nic))

    def _wire(self, lab: Lab, link: Link) -> None:
        net = lab.network
        near, far = self._space(lab, link.a), self._space(lab, link.b)
        peer = PeerSpec(link.b.nic, far, mtu=link.mtu, mac=_mac(link.b))
        try:
            link_add(net, near, LinkSpec("veth", link.a.nic, mtu=link.mtu, mac=_mac(link.a), peer=peer))
        except RtnlError as error:
            where = f"{link.a.node}:{link.a.nic} - {link.b.node}:{link.b.nic}"
            raise TopologyError(f"link {where}: {error}") from None
        for end, other in ((link.a, link.b), (link.b, link.a)):
            dev = self._space(lab, end).devices[end.nic]
            self._plug(lab, end, other, dev)
            link_set(net, dev, up=True)

    def _space(self, lab: Lab, end: End) -> Netns:
        node = self.nodes.get(end.node)
        return lab.network.netns[end.node if node is not None and node.kind == LINUX else ""]

    def _plug(self, lab: Lab, end: End, other: End, dev: Any) -> None:
        """Make an end a port, if its node is a bridge; on a virtual switch the port looks at addresses."""
        node = self.nodes.get(end.node)
        if node is None or node.kind != BRIDGE:
            return
        link_set(lab.network, dev, master=lab.network.netns[""].devices[node.name])
        if not node.virtual_switch:
            return
        link_set(lab.network, dev, slave_info={"learning": False})
        far = self.nodes.get(other.node)
        if far is not None and far.kind == LINUX:
            lay(lab.network, dev.peer, VirtualBox(dev.peer.mac, far.policies.get(other.nic, DENY)))


def _mac(end: End) -> int | None:
    return parse_mac(end.mac) if end.mac else None


def _make(lab: Lab, node: Node) -> None:
    net = lab.network
    try:
        if node.kind == LINUX:
            ns = net.add_netns(node.name)
            link_set(net, ns.devices["lo"], up=True)
        elif node.kind == BRIDGE:
            link_set(net, link_add(net, net.netns[""], LinkSpec("bridge", node.name)), up=True)
    except RtnlError as error:
        raise TopologyError(f"node {node.name!r}: {error}: is the name taken, or too long?") from None


def _prepare(lab: Lab, node: Node) -> None:
    space = node.name if node.kind == LINUX else ""
    for key, value in node.sysctls.items():
        try:
            sysctl_set(lab.network, lab.network.netns[space], key, value)
        except RtnlError as error:
            raise TopologyError(f"node {node.name!r}: sysctl {key}: {error}") from None
    for line in node.exec:
        done = lab.command(*shlex.split(line), netns=space)
        if done.exit:
            raise TopologyError(
                f"node {node.name!r}: exec {line!r} ended with status {done.exit}: {done.stderr.strip()}"
            )


def _underlay(lab: Lab, node: Node) -> None:
    for nic, word in node.underlays.items():
        place = f"{'root' if node.kind == BRIDGE or node.kind == HOST else node.name}/{nic or node.name}"
        try:
            lab.underlay(word, place)
        except (ValueError, KeyError) as error:
            raise TopologyError(f"node {node.name!r}: label {UNDERLAY_LABEL}: {error.args[0]}") from None


# -- containerlab's files ----------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> Topology:
    """Read a `*.clab.yml` file.

    Raises:
        TopologyError: it is no YAML, or says what is not simulated; the text names the place.
        OSError: it cannot be read.
    """
    import yaml

    with open(path, encoding="utf-8") as file:
        try:
            read = yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise TopologyError(f"{os.fspath(path)}: {error}") from None
    try:
        return parse(read)
    except TopologyError as error:
        raise TopologyError(f"{os.fspath(path)}: {error}") from None


def parse(read: Any) -> Topology:
    """Turn what a topology file holds into a topology."""
    top = _mapping(read, "the file")
    _refuse_unknown(top, TOP_KEYS, "")
    topology = _mapping(top.get("topology"), "topology")
    _refuse_unknown(topology, frozenset({"defaults", "kinds", "groups", "nodes", "links"}), "topology.")
    made = Topology(str(top.get("name") or "lab"))
    for name, given in _mapping(topology.get("nodes"), "topology.nodes").items():
        made.nodes[str(name)] = _node(str(name), _merged(topology, _mapping(given or {}, f"topology.nodes.{name}")))
    for number, given in enumerate(topology.get("links") or []):
        made.links.append(_link(_mapping(given, f"topology.links[{number}]"), f"topology.links[{number}]"))
    made._check()
    return made


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TopologyError(f"{where}: a mapping is expected, not {value!r}")
    return value


def _refuse_unknown(given: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise TopologyError(f"{where}{key}: not simulated; there is {', '.join(sorted(known))}")


def _merged(topology: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A node's settings over its kind's over the defaults, as containerlab inherits them."""
    defaults = _mapping(topology.get("defaults") or {}, "topology.defaults")
    kind = str(given.get("kind") or defaults.get("kind") or "")
    kinds = _mapping(topology.get("kinds") or {}, "topology.kinds")
    layers = (defaults, _mapping(kinds.get(kind) or {}, f"topology.kinds.{kind}"), given)
    made: dict[str, Any] = {"kind": kind}
    for layer in layers:
        for key, value in layer.items():
            both_maps = isinstance(made.get(key), dict) and isinstance(value, Mapping)
            made[key] = {**made[key], **value} if both_maps else value
    return made


def _node(name: str, given: dict[str, Any]) -> Node:
    where = f"topology.nodes.{name}."
    _refuse_unknown(given, NODE_KEYS | NO_BEARING, where)
    if given["kind"] not in KINDS:
        raise TopologyError(f"{where}kind: {given['kind']!r} is not simulated; there is {', '.join(KINDS)}")
    labels = {str(k): str(v) for k, v in (given.get("labels") or {}).items()}
    policies = {k.removeprefix(POLICY_LABEL): v for k, v in labels.items() if k.startswith(POLICY_LABEL)}
    for nic, policy in policies.items():
        if policy not in POLICIES:
            raise TopologyError(f"{where}labels.{POLICY_LABEL}{nic}: {policy!r} is none of {', '.join(POLICIES)}")
    sysctls = {str(k): str(v) for k, v in (given.get("sysctls") or {}).items()}
    virtual = labels.get(SWITCH_LABEL, "").lower() == "true"
    words = {k: v for k, v in labels.items() if k.split(".")[:2] == UNDERLAY_LABEL.split(".")}
    underlays = {k.removeprefix(UNDERLAY_LABEL).lstrip("."): v for k, v in words.items()}
    return Node(name, given["kind"], _lines(given.get("exec"), f"{where}exec"), sysctls, policies, virtual, underlays)


def _lines(value: Any, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TopologyError(f"{where}: a list of commands is expected, not {value!r}")
    return list(value)


def _link(given: Mapping[str, Any], where: str) -> Link:
    _refuse_unknown(given, frozenset({"endpoints", "mtu", "type", "vars", "labels"}), f"{where}.")
    if given.get("type", "veth") != "veth":
        raise TopologyError(f"{where}.type: {given['type']!r} is not simulated; there is veth")
    ends = given.get("endpoints")
    if not isinstance(ends, list) or len(ends) != 2:
        raise TopologyError(f"{where}.endpoints: two ends are expected, such as ['n1:eth1', 'n2:eth1']")
    a, b = (_end(each, f"{where}.endpoints") for each in ends)
    return Link(a, b, int(given.get("mtu") or DEFAULT_MTU))


def _end(given: Any, where: str) -> End:
    if isinstance(given, Mapping):
        _refuse_unknown(given, frozenset({"node", "interface", "mac"}), f"{where}.")
        return End(str(given.get("node")), str(given.get("interface")), str(given.get("mac") or ""))
    node, colon, nic = str(given).partition(":")
    if not (node and colon and nic):
        raise TopologyError(f"{where}: {given!r}: node:nic is expected")
    if node in ("mgmt-net", "macvlan", "vxlan", "vxlan-stitch"):
        raise TopologyError(f"{where}: {given!r}: {node} links are not simulated; wire it to a node of kind bridge")
    return End(node, nic)


def is_topology(path: str) -> bool:
    """Whether a file name says that it is a topology."""
    return path.endswith((".clab.yml", ".clab.yaml"))
