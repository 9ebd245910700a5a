"""Labs of nodes: docker-machine and VBoxManage as words, the virtual switch and its promiscuous policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from simvlan import Lab
from simvlan.capture import PcapDir, read_pcap
from simvlan.docker.cluster import Cluster, cluster_of
from simvlan.docker.engine import Engine
from simvlan.docker.labs import Topology, TopologyError, load, parse
from simvlan.docker.machines import MachineError, Machines
from simvlan.frame import ARP, Frame
from simvlan.underlay import VirtualBox
from simvlan.verdict import Drop
from tests.dockersim.world import Idlers, Node

OWN, OTHER, GROUP, VM, HOST = 0x0800_2700_0001, 0x0800_2700_0002, 0x0100_5E00_0001, 0x0800_2700_0003, 0x0A00_2700_0000


@pytest.mark.parametrize(
    ("policy", "strange", "from_host"),
    [("deny", False, False), ("allow-vms", True, False), ("allow-all", True, True)],
)
def test_what_a_switch_port_lets_in(policy: str, strange: bool, from_host: bool) -> None:
    """VirtualBox's manual: Deny, Allow VMs (what other machines send), Allow All (the host's traffic too)."""
    port = VirtualBox(OWN, policy, frozenset([HOST]))
    assert all(port.lets_in(target, sender) for target in (OWN, GROUP) for sender in (VM, HOST))
    assert port.lets_in(OTHER, VM) == strange
    assert port.lets_in(OTHER, HOST) == from_host


def test_a_policy_that_is_none() -> None:
    with pytest.raises(ValueError, match="there are deny, allow-vms, allow-all"):
        VirtualBox(OWN, "promiscuous")


@pytest.fixture
def lab() -> Lab:
    made = Lab(seed=1)
    Cluster(made, runtime=Idlers)
    machines = Machines(cluster_of(made))
    machines.create("node-1")
    machines.create("node-2")
    return made


def engine(lab: Lab, node: str) -> Engine:
    return cluster_of(lab).engine(node)


def words(lab: Lab, *argv: str, status: int = 0) -> str:
    done = lab.command(*argv)
    assert done.exit == status, done
    return done.stdout + done.stderr


def tutorial(lab: Lab, driver: str = "macvlan") -> None:
    """A network over both nodes and a container on each: c1 192.168.11.1, c3 192.168.10.1."""
    for node, third in (("node-1", 11), ("node-2", 10)):
        config = [{"Subnet": "192.168.0.0/16", "IPRange": f"192.168.{third}.0/24"}]
        body = {"Name": "net100", "Driver": driver, "IPAM": {"Config": config}, "Options": {"parent": "eth1.100"}}
        engine(lab, node).network_create(body)
    for node, name in (("node-1", "c1"), ("node-1", "c2"), ("node-2", "c3")):
        engine(lab, node).image_create("alpine")
        body = {"Image": "alpine", "Cmd": ["sleep", "1000000"], "HostConfig": {"NetworkMode": "net100"}}
        engine(lab, node).container_create(body, name)
        engine(lab, node).container_start(name)


def test_nodes_reach_each_other_and_the_host(lab: Lab) -> None:
    assert words(lab, "docker-machine", "ip", "node-1", "node-2") == "192.168.99.100\n192.168.99.101\n"
    assert lab.ping("node-1", "192.168.99.101")
    assert lab.ping("node-1", "192.168.99.1")
    assert lab.ping("", "192.168.99.101")
    assert "default via 10.0.2.2 dev eth0" in lab.command("ip", "route", netns="node-1").stdout


def test_macvlan_needs_a_promiscuous_nic_and_ipvlan_does_not(lab: Lab) -> None:
    """The commonest stumble of the tutorial: across nodes nothing arrives until NIC 2 may be promiscuous."""
    tutorial(lab)
    assert lab.ping("c1", "192.168.11.2")  # same node: never on the wire
    assert not lab.ping("c1", "192.168.10.1")
    walk = lab.trace("c3/eth0", bytes.fromhex(mac(lab, "c1") + mac(lab, "c3") + "0800") + bytes(46))
    assert ("vbox/node-1-2", Drop.VSWITCH_NOT_PROMISCUOUS) in [(step.path, step.drop) for step in walk.drops]
    assert "nicpromiscN allow-all" in walk.to_text()
    words(lab, "VBoxManage", "controlvm", "node-1", "nicpromisc2", "allow-all")
    assert not lab.ping("c1", "192.168.10.1")  # node-2's NIC still keeps the request's answer's way closed
    words(lab, "VBoxManage", "controlvm", "node-2", "nicpromisc2", "allow-vms")
    assert lab.ping("c1", "192.168.10.1")
    words(lab, "VBoxManage", "controlvm", "node-1", "nicpromisc2", "deny")
    lab.command("ip", "neigh", "flush", "dev", "eth0", netns="c1")
    assert not lab.ping("c1", "192.168.10.1")


def test_ipvlan_across_nodes_with_the_policy_denying(lab: Lab) -> None:
    tutorial(lab, "ipvlan")
    assert lab.ping("c1", "192.168.10.1")


def mac(lab: Lab, container: str) -> str:
    return f"{lab.network.device(f'{container}/eth0').mac:012x}"


def test_modifyvm_needs_a_stopped_machine(lab: Lab) -> None:
    refused = words(lab, "VBoxManage", "modifyvm", "node-1", "--nicpromisc2", "allow-all", status=1)
    assert "The machine 'node-1' is already locked for a session" in refused
    words(lab, "docker-machine", "stop", "node-1")
    assert words(lab, "docker-machine", "status", "node-1") == "Stopped\n"
    words(lab, "VBoxManage", "modifyvm", "node-1", "--nicpromisc2", "allow-all")
    words(lab, "docker-machine", "start", "node-1")
    assert "Promisc Policy: allow-all" in words(lab, "VBoxManage", "showvminfo", "node-1").splitlines()[3]
    refused = words(lab, "VBoxManage", "controlvm", "node-1", "nicpromisc2", "sometimes", status=1)
    assert "there are deny, allow-vms, allow-all" in refused
    refused = words(lab, "VBoxManage", "controlvm", "node-1", "nicpromisc7", "deny", status=1)
    assert "no NIC 7" in refused


def test_a_machine_that_is_switched_off_and_on(lab: Lab) -> None:
    """Its links are gone and made again; its containers end, those with a policy start again."""
    tutorial(lab)
    one = engine(lab, "node-1")
    one.container_update("c1", {"RestartPolicy": {"Name": "always"}})
    assert lab.ping("node-2", "192.168.99.100")
    words(lab, "docker-machine", "stop", "node-1")
    assert not lab.ping("node-2", "192.168.99.100", 1, "-W", "1")
    assert "eth1.100" not in lab.network.netns["node-1"].devices
    assert "c1" not in lab.network.netns
    words(lab, "docker-machine", "start", "node-1")
    assert lab.ping("node-2", "192.168.99.100")
    assert "eth1.100" in lab.network.netns["node-1"].devices
    assert one.container_inspect("c1")["State"]["Running"]
    assert one.container_inspect("c2")["State"]["ExitCode"] == 255


def test_words_about_machines(lab: Lab) -> None:
    listed = words(lab, "docker-machine", "ls").splitlines()
    assert [line.split()[:4] for line in listed[1:]] == [["node-1", "-", "virtualbox", "Running"],
                                                         ["node-2", "-", "virtualbox", "Running"]]  # fmt: skip
    assert words(lab, "docker-machine", "ls", "-q") == "node-1\nnode-2\n"
    assert 'export DOCKER_HOST="tcp://192.168.99.101:2376"' in words(lab, "docker-machine", "env", "node-2")
    assert cluster_of(lab).node_at("tcp://192.168.99.101:2376") == "node-2"
    assert "does not exist" in words(lab, "docker-machine", "ip", "nosuch", status=1)
    assert "already exists" in words(lab, "docker-machine", "create", "-d", "virtualbox", "node-1", status=1)
    assert "use -d virtualbox" in words(lab, "docker-machine", "create", "-d", "aws", "n", status=1)
    assert "not simulated" in words(lab, "docker-machine", "scp", "a", "b", status=1)
    assert "node-2" in words(lab, "VBoxManage", "list", "runningvms")
    assert "Could not find a registered machine" in words(lab, "VBoxManage", "showvminfo", "x", status=1)
    words(lab, "docker-machine", "rm", "-y", "node-2")
    assert list(lab.network.netns) == ["", "vbox", "node-1"]
    assert words(lab, "docker-machine", "ls", "-q") == "node-1\n"
    with pytest.raises(MachineError, match='already a machine or network namespace "node-1"'):
        Machines(cluster_of(lab)).create("node-1")


def test_words_in_a_script() -> None:
    """As the tutorial has them; `docker-machine ssh` runs in the node."""
    lab = Lab(seed=1)
    done = lab.sh(
        "set -e\n"
        "docker-machine create -d virtualbox node-1 > /dev/null\n"
        "docker-machine create --driver=virtualbox --virtualbox-memory 512 node-2 | tail -1\n"
        "VBoxManage controlvm node-1 nicpromisc2 allow-all\n"
        "docker-machine ssh node-1 'ip -br addr show eth1; ping -c 1 192.168.99.101 | grep received'\n"
        'eval "$(docker-machine env node-2)"; echo $DOCKER_HOST; docker-machine ls | grep "\\*"\n'
    )
    assert not done.exit, done
    lines = done.stdout.splitlines()
    assert lines[0].endswith("docker-machine env node-2")
    assert lines[1].split()[2] == "192.168.99.100/24"
    assert "1 received" in lines[2]
    assert lines[3] == "tcp://192.168.99.101:2376"
    assert lines[4].startswith("node-2   *")


def test_the_dialect_a_script_asks_for() -> None:
    lab = Lab(seed=1)
    done = lab.sh("export SIMVLAN_DOCKER_DIALECT=1.12; docker-machine create -d virtualbox node-1 > /dev/null; "
                  "docker-machine ls | grep -o 'v1.12.6'")  # fmt: skip
    assert done.stdout == "v1.12.6\n", done


def test_captures_and_the_matrix_know_containers_by_name(lab: Lab, tmp_path: Path) -> None:
    pcaps = PcapDir(lab.network, tmp_path)
    tutorial(lab)
    lab.run(until_ns=lab.now + 3_000_000_000)
    pcaps.flush()
    announced = [Frame.parse(octets) for _, octets in read_pcap(tmp_path / "c1.eth0.pcap")]
    gratuitous = [frame for frame in announced if frame.proto == ARP and frame.src == lab.network.device("c1/eth0").mac]
    assert len(gratuitous) == 3
    shown = str(lab.matrix(["c1", "c2", "c3"]))
    assert "VSWITCH_NOT_PROMISCUOUS" in shown


@pytest.mark.parametrize(("dialect", "options", "times"), [
    ("28", {}, [0, 1, 2]),
    ("28", {"com.docker.network.advertise_addr_nmsgs": "2", "com.docker.network.advertise_addr_ms": "500"}, [0, 0.5]),
    ("28", {"com.docker.network.advertise_addr_nmsgs": "0"}, []),
    ("29", {}, [0, 1, 2]),
    ("27", {}, []),
    ("1.12", {}, []),
])  # fmt: skip
def test_gratuitous_arp(dialect: str, options: dict[str, str], times: list[float]) -> None:
    """Three, a second apart, tagged on the way out, since 28; none before; ipvlan never."""
    node = Node(dialect=dialect)
    seen: list[tuple[int, Frame]] = []
    node.lab.network.device("lan/node-1-1").taps.append(lambda now, dev, frame, out: seen.append((now, frame)))
    node.network("m", "macvlan", "10.1.0.0/24", parent="eth1.100", **options)
    node.network("i", "ipvlan", "10.2.0.0/24", parent="eth1.200")
    node.run("c1", "m")
    node.run("c2", "i")
    node.lab.run(until_ns=node.lab.now + 5_000_000_000)
    mine = [(now, frame) for now, frame in seen if frame.src == node.lab.network.device("c1/eth0").mac]
    assert [now / 1e9 for now, _ in mine] == times
    assert all(frame.dst == 0xFFFF_FFFF_FFFF and bytes(frame)[12:16].hex() == "81000064" for _, frame in mine)
    assert len([frame for _, frame in seen if frame.dst >> 24 != 0x01_00_5E]) == len(mine)


# -- topology files ----------------------------------------------------------------------------------------------------

EXAMPLE = Path(__file__).parent.parent / "examples" / "two-nodes.clab.yml"


def topology_lab(topology: Topology) -> Lab:
    lab = Lab(seed=1)
    Cluster(lab, runtime=Idlers)
    assert topology.build(lab) == ["node-1", "node-2"]
    return lab


def test_the_example_topology() -> None:
    lab = topology_lab(load(EXAMPLE))
    assert lab.ping("node-1", "192.168.99.101")
    tutorial(lab)
    assert lab.ping("c1", "192.168.10.1")


def test_the_same_in_python_and_without_the_policies() -> None:
    made = Topology().node("sw", "bridge", virtual_switch=True)
    for number in (1, 2):
        made.node(f"node-{number}", exec=[f"ip address add 192.168.99.{99 + number}/24 dev eth1"])
        made.link(f"node-{number}:eth1", f"sw:port{number}", mtu=1500)
    lab = topology_lab(made)
    assert lab.ping("node-1", "192.168.99.101")
    tutorial(lab)
    assert not lab.ping("c1", "192.168.10.1")
    walk = str(lab.matrix(["c1", "c3"]))
    assert "VSWITCH_NOT_PROMISCUOUS" in walk


def test_a_plain_bridge_learns_and_filters_nothing() -> None:
    made = Topology().node("sw", "bridge").node("node-1").node("node-2")
    made.link("node-1:eth1", "sw:p1").link("node-2:eth1", "sw:p2")
    lab = topology_lab(made)
    tutorial(lab)
    assert lab.ping("c1", "192.168.10.1")
    assert lab.network.device("node-1/eth1").mtu == 9500  # as containerlab makes them


def topology(text: str) -> Topology:
    import yaml

    return parse(yaml.safe_load(text))


def test_kinds_defaults_long_links_and_the_host() -> None:
    made = topology("""
name: x
topology:
  defaults: {kind: linux, sysctls: {net.ipv4.ip_forward: 1}}
  kinds: {linux: {exec: [ip link set lo up], image: alpine}}
  nodes:
    node-1: {sysctls: {net.ipv4.conf.all.arp_ignore: 1}}
    node-2:
  links:
    - type: veth
      mtu: 1400
      endpoints:
        - {node: node-1, interface: eth5, mac: 02:00:00:00:00:05}
        - {node: node-2, interface: eth1}
    - endpoints: ["node-2:eth2", "host:toward2"]
""")
    lab = topology_lab(made)
    assert lab.network.device("node-1/eth5").mac == 0x0200_0000_0005
    assert lab.network.device("node-2/eth1").mtu == 1400
    assert lab.network.device("root/toward2").up
    assert lab.command("sysctl", "-n", "net.ipv4.ip_forward", netns="node-1").stdout == "1\n"
    assert lab.command("sysctl", "-n", "net.ipv4.conf.all.arp_ignore", netns="node-1").stdout == "1\n"


@pytest.mark.parametrize(("text", "complaint"), [
    ("[]", "the file: a mapping is expected"),
    ("topology: {nodes: {a: {kind: nokia_srlinux}}}", "topology.nodes.a.kind: 'nokia_srlinux' is not simulated"),
    ("topology: {nodes: {a: {kind: linux, stages: {}}}}", "topology.nodes.a.stages: not simulated"),
    ("topology: {nodes: {a: {kind: linux}}, links: [{endpoints: ['a:e', 'b:e']}]}", "there is no node 'b'"),
    ("topology: {nodes: {a: {kind: linux}}, links: [{endpoints: ['a:e']}]}", "links[0].endpoints: two ends"),
    ("topology: {nodes: {a: {kind: linux}}, links: [{endpoints: ['a:e', 'mgmt-net:x']}]}", "mgmt-net links are not"),
    ("topology: {nodes: {a: {kind: linux}}, links: [{endpoints: ['a', 'a:e']}]}", "'a': node:nic is expected"),
    ("topology: {nodes: {a: {kind: linux}}, links: [{endpoints: ['a:e', 'a:e']}]}", "a:e is used twice"),
    ("topology: {nodes: {a: {kind: linux}}, links: [{type: vxlan, endpoints: ['a:e', 'a:f']}]}", "'vxlan' is not sim"),
    ("topology: {nodes: {a: {kind: linux, exec: ls}}}", "topology.nodes.a.exec: a list of commands"),
    ("topology: {nodes: {a: {kind: linux, labels: {simvlan.promiscuous.eth1: yes please}}}}", "is none of deny"),
    ("other: 1", "other: not simulated; there is mgmt, name"),
])  # fmt: skip
def test_what_a_topology_file_may_not_say(text: str, complaint: str) -> None:
    with pytest.raises(TopologyError) as caught:
        topology(text)
    assert complaint in str(caught.value)


def test_what_cannot_be_built() -> None:
    made = Topology().node("node-1", exec=["ip link set nosuch up"])
    with pytest.raises(TopologyError, match="node 'node-1': exec 'ip link set nosuch up' ended with status 1"):
        made.build(Lab())
    with pytest.raises(TopologyError, match="node 'averylongbridgename': "):
        Topology().node("averylongbridgename", "bridge").build(Lab())


def test_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "x.clab.yml").write_text("a: [")
    with pytest.raises(TopologyError, match=r"x\.clab\.yml: while parsing"):
        load(tmp_path / "x.clab.yml")
