"""The spanning tree protocol of a bridge, 802.1D-1998 as Linux runs it in the kernel.

Mirrors net/bridge/br_stp.c, br_stp_if.c and br_stp_timer.c (6.1). Bridge ids are `priority << 48 | MAC`, so that
comparing integers compares ids. With STP off the same code runs and every port that comes up forwards at once.
BPDUs go to the bridge's outbox; whoever called (rule, timer, configuration) sends them on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.clock import SECOND
from simvlan.devices.bridge_bpdu import Config, config_frame, tcn_frame
from simvlan.devices.bridge_stp_port import PortStp, State, port_id
from simvlan.devices.bridge_timer import BridgeTimer, round_second
from simvlan.verdict import Way

if TYPE_CHECKING:
    from simvlan.devices.bridge import Bridge
    from simvlan.devices.bridge_port import BridgePort
    from simvlan.frame import Frame

HOLD_TIME = SECOND
AGE_INCREMENT = SECOND // 256
DEFAULT_PRIORITY = 0x8000


class Stp:
    """The bridge's view of the tree. Times in ns.

    Attributes:
        enabled: the protocol runs (BR_KERNEL_STP).
        own: this bridge's id; root, root_cost, root_port: the root it believes in (root_port 0: itself).
        hello_time, max_age, forward_delay: in force, the root's; own_*: what this bridge would impose as root.
    """

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.enabled = False
        self.own = self.root = DEFAULT_PRIORITY << 48  # a generated MAC is not taken in: a port's or a given one is
        self.root_cost = self.root_port = 0
        self.hello_time = self.own_hello_time = 2 * SECOND
        self.max_age = self.own_max_age = 20 * SECOND
        self.forward_delay = self.own_forward_delay = 15 * SECOND
        self.topology_change = self.topology_change_detected = False
        kernel = bridge.kernel
        self.hello_timer = BridgeTimer(kernel, self._hello_expired)
        self.tcn_timer = BridgeTimer(kernel, self._tcn_expired)
        self.topology_change_timer = BridgeTimer(kernel, self._topology_change_expired)

    @property
    def priority(self) -> int:
        """The bridge's priority, the upper 16 bits of its id."""
        return self.own >> 48

    @property
    def is_root(self) -> bool:
        """Whether this bridge believes itself the root (br_is_root_bridge)."""
        return self.own == self.root

    def port(self, number: int) -> BridgePort | None:
        """Return the port with a number (br_get_port)."""
        return next((p for p in self.bridge.ports if p.number == number), None)

    def is_designated(self, port: BridgePort) -> bool:
        """Whether this bridge speaks for the segment of a port (br_is_designated_port)."""
        return port.stp.bridge == self.own and port.stp.port_id == port.stp.own_id

    # -- choosing ---------------------------------------------------------------------------------------------------

    def configuration_update(self) -> None:
        """Choose the root port, then the segments to speak for (br_configuration_update)."""
        self._select_root()
        for port in self.bridge.ports:
            if port.state is not State.DISABLED and self._should_be_designated(port):
                self.become_designated(port)

    def _select_root(self) -> None:
        """Find the port with the best way to a better root (br_root_selection)."""
        best: BridgePort | None = None
        for port in self.bridge.ports:
            if not self._better_root(port, best):
                continue
            if port.root_block:
                self._root_block(port)
            else:
                best = port
        self.root_port = best.number if best else 0
        self.root = best.stp.root if best else self.own
        self.root_cost = best.stp.root_cost + best.stp.cost if best else 0

    def _better_root(self, port: BridgePort, best: BridgePort | None) -> bool:
        """Compare two candidates for root port (br_should_become_root_port)."""
        if port.state is State.DISABLED or self.is_designated(port) or self.own <= port.stp.root:
            return False
        return best is None or _root_vector(port.stp) < _root_vector(best.stp)

    def _root_block(self, port: BridgePort) -> None:
        """Keep a root-blocked port listening as long as better news comes (br_root_port_block)."""
        port.set_state(State.LISTENING)
        if self.forward_delay:
            port.stp.forward_delay_timer.start(self.forward_delay)

    def _should_be_designated(self, port: BridgePort) -> bool:
        """Whether this bridge offers a segment the best way (br_should_become_designated_port)."""
        stp = port.stp
        if self.is_designated(port) or stp.root != self.root:
            return True
        return (self.root_cost, self.own, stp.own_id) < (stp.root_cost, stp.bridge, stp.port_id)

    def become_designated(self, port: BridgePort) -> None:
        """Speak for a segment (br_become_designated_port)."""
        stp = port.stp
        stp.root, stp.root_cost, stp.bridge, stp.port_id = self.root, self.root_cost, self.own, stp.own_id

    def port_state_selection(self) -> None:
        """Give every live port its state, and the bridge its carrier (br_port_state_selection)."""
        live = False
        for port in self.bridge.ports:
            if port.state is State.DISABLED:
                continue
            self._select_state(port)
            if port.state is not State.BLOCKING:
                self.bridge.mcast.enable_port(port)
            live |= port.state is State.FORWARDING
        self.bridge.kernel.set_carrier(self.bridge, live)

    def _select_state(self, port: BridgePort) -> None:
        stp = port.stp
        if port.number == self.root_port:
            stp.pending = stp.ack = False
            self._make_forwarding(port)
        elif self.is_designated(port):
            stp.message_age_timer.stop()
            self._make_forwarding(port)
        else:
            stp.pending = stp.ack = False
            self._make_blocking(port)

    def _make_forwarding(self, port: BridgePort) -> None:
        """Start a blocked port on its way to forwarding (br_make_forwarding)."""
        if port.state is not State.BLOCKING:
            return
        if not self.enabled or not self.forward_delay:
            port.set_state(State.FORWARDING)
            self.topology_change_detection()
        else:
            port.set_state(State.LISTENING)
        if self.forward_delay:
            port.stp.forward_delay_timer.start(self.forward_delay)

    def _make_blocking(self, port: BridgePort) -> None:
        """Block a port (br_make_blocking)."""
        if port.state in (State.DISABLED, State.BLOCKING):
            return
        if port.state in (State.FORWARDING, State.LEARNING):
            self.topology_change_detection()
        port.set_state(State.BLOCKING)
        port.stp.forward_delay_timer.stop()

    def _become_root(self) -> None:
        """Take over as root: own times, and the news at once (br_become_root_bridge)."""
        self.max_age, self.hello_time = self.own_max_age, self.own_hello_time
        self.forward_delay = self.own_forward_delay
        self.topology_change_detection()
        self.tcn_timer.stop()
        if self.bridge.up:
            self.config_generation()
            self.hello_timer.start(self.hello_time)

    def _recompute(self, was_root: bool) -> None:
        """Choose again after a change; the end of several br_stp_* functions."""
        self.configuration_update()
        self.port_state_selection()
        if self.is_root and not was_root:
            self._become_root()

    # -- sending ----------------------------------------------------------------------------------------------------

    def _send(self, port: BridgePort, frame: Frame) -> None:
        self.bridge.outbox.append((Way.TX, port.dev, frame))

    def config_generation(self) -> None:
        """Send a configuration on every segment this bridge speaks for (br_config_bpdu_generation)."""
        for port in self.bridge.ports:
            if port.state is not State.DISABLED and self.is_designated(port):
                self._transmit_config(port)

    def _transmit_config(self, port: BridgePort) -> None:
        """Send a configuration, or note that one is due when the hold timer ends (br_transmit_config)."""
        stp = port.stp
        if stp.hold_timer.pending:
            stp.pending = True
            return
        age = self._message_age()
        if age >= self.max_age:
            return
        if self.enabled:
            config = Config(
                self.root, self.root_cost, self.own, stp.own_id, age, self.max_age, self.hello_time,
                self.forward_delay, self.topology_change, stp.ack,
            )  # fmt: skip
            self._send(port, config_frame(self.bridge.group_address, port.dev.mac, config))
            stp.hold_timer.start_at(round_second(self.bridge.kernel.now + HOLD_TIME))
        stp.ack = stp.pending = False

    def _message_age(self) -> int:
        root = self.port(self.root_port)
        return 0 if self.is_root or root is None else self.bridge.kernel.now - root.stp.age + AGE_INCREMENT

    def _transmit_tcn(self) -> None:
        """Tell the root of a topology change (br_transmit_tcn)."""
        root = self.port(self.root_port)
        if root is not None and self.enabled:
            self._send(root, tcn_frame(self.bridge.group_address, root.dev.mac))

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive_config(self, port: BridgePort, config: Config) -> None:
        """Take better news in, answer worse (br_received_config_bpdu)."""
        was_root = self.is_root
        if not self._supersedes(port, config):
            if self.is_designated(port):
                self._transmit_config(port)
            return
        self._record(port, config)
        self.configuration_update()
        self.port_state_selection()
        if was_root and not self.is_root:
            self._resign()
        if port.number == self.root_port:
            self.max_age, self.hello_time = config.max_age, config.hello_time
            self.forward_delay = config.forward_delay
            self._set_topology_change(config.topology_change)
            self.config_generation()
            if config.ack:
                self.topology_change_detected = False
                self.tcn_timer.stop()

    def _resign(self) -> None:
        """Stop being root; a change detected meanwhile is the new root's to hear of."""
        self.hello_timer.stop()
        if self.topology_change_detected:
            self.topology_change_timer.stop()
            self._transmit_tcn()
            self.tcn_timer.start(self.own_hello_time)

    def _supersedes(self, port: BridgePort, config: Config) -> bool:
        """Whether news is better than, or from the same source as, what the port knows (br_supersedes_port_info)."""
        stp = port.stp
        news = (config.root, config.root_cost, config.bridge)
        known = (stp.root, stp.root_cost, stp.bridge)
        if news != known:
            return news < known
        return config.bridge != self.own or config.port_id <= stp.port_id

    def _record(self, port: BridgePort, config: Config) -> None:
        """Remember the news until it is too old (br_record_config_information)."""
        stp = port.stp
        stp.root, stp.root_cost = config.root, config.root_cost
        stp.bridge, stp.port_id = config.bridge, config.port_id
        stp.age = self.bridge.kernel.now - config.age
        stp.message_age_timer.start(config.max_age - config.age)

    def receive_tcn(self, port: BridgePort) -> None:
        """Pass news of a topology change on, and acknowledge it (br_received_tcn_bpdu)."""
        if self.is_designated(port):
            self.topology_change_detection()
            port.stp.ack = True
            self._transmit_config(port)

    # -- topology changes -------------------------------------------------------------------------------------------

    def topology_change_detection(self) -> None:
        """Spread the word: addresses have moved (br_topology_change_detection)."""
        if not self.enabled:
            return
        if self.is_root:
            self._set_topology_change(True)
            self.topology_change_timer.start(self.own_forward_delay + self.own_max_age)
        elif not self.topology_change_detected:
            self._transmit_tcn()
            self.tcn_timer.start(self.own_hello_time)
        self.topology_change_detected = True

    def _set_topology_change(self, changing: bool) -> None:
        """Age addresses quickly while the topology changes (__br_set_topology_change)."""
        if self.topology_change != changing:
            bridge = self.bridge
            bridge.ageing_time = 2 * self.forward_delay if changing else bridge.own_ageing_time
            self.topology_change = changing

    # -- timers -----------------------------------------------------------------------------------------------------

    def _hello_expired(self) -> None:
        if self.bridge.up:
            self.config_generation()
            if self.enabled:
                self.hello_timer.start_at(round_second(self.bridge.kernel.now + self.hello_time))
        self.bridge.flush()

    def message_age_expired(self, port: BridgePort) -> None:
        """The designated bridge has gone silent: speak for the segment (br_message_age_timer_expired)."""
        if port.state is not State.DISABLED:
            was_root = self.is_root
            self.become_designated(port)
            self._recompute(was_root)
            self.bridge.flush()

    def forward_delay_expired(self, port: BridgePort) -> None:
        """Go on from listening to learning, from learning to forwarding (br_forward_delay_timer_expired)."""
        if port.state is State.LISTENING:
            port.set_state(State.LEARNING)
            port.stp.forward_delay_timer.start(self.forward_delay)
        elif port.state is State.LEARNING:
            port.set_state(State.FORWARDING)
            if any(p.state is not State.DISABLED and p.stp.bridge == self.own for p in self.bridge.ports):
                self.topology_change_detection()
            self.bridge.kernel.set_carrier(self.bridge, True)
        self.bridge.flush()

    def hold_expired(self, port: BridgePort) -> None:
        """Send the configuration that had to wait (br_hold_timer_expired)."""
        if port.stp.pending:
            self._transmit_config(port)
            self.bridge.flush()

    def _tcn_expired(self) -> None:
        if not self.is_root and self.bridge.up:
            self._transmit_tcn()
            self.tcn_timer.start(self.own_hello_time)
            self.bridge.flush()

    def _topology_change_expired(self) -> None:
        self.topology_change_detected = False
        self._set_topology_change(False)

    # -- ports and the bridge coming and going ----------------------------------------------------------------------

    def enable_bridge(self) -> None:
        """Start the protocol as the bridge comes up (br_stp_enable_bridge)."""
        if self.enabled:
            self.hello_timer.start(self.hello_time)
        self.config_generation()
        for port in self.bridge.ports:
            if port.dev.running:
                self.enable_port(port)

    def disable_bridge(self) -> None:
        """Stop as the bridge goes down (br_stp_disable_bridge)."""
        for port in self.bridge.ports:
            if port.state is not State.DISABLED:
                self.disable_port(port)
        self._set_topology_change(False)
        self.topology_change_detected = False
        for timer in (self.hello_timer, self.topology_change_timer, self.tcn_timer):
            timer.stop()

    def enable_port(self, port: BridgePort) -> None:
        """Let a port take part (br_stp_enable_port)."""
        port.stp.own_id = port_id(port.stp.priority, port.number)
        self.become_designated(port)
        port.set_state(State.BLOCKING)
        port.stp.ack = port.stp.pending = False
        self.port_state_selection()

    def disable_port(self, port: BridgePort) -> None:
        """Take a port out; what it taught is forgotten (br_stp_disable_port)."""
        was_root = self.is_root
        stp = port.stp
        self.become_designated(port)
        port.set_state(State.DISABLED)
        stp.ack = stp.pending = False
        for timer in (stp.message_age_timer, stp.forward_delay_timer, stp.hold_timer):
            timer.stop()
        self.bridge.fdb.delete_by_port(port)
        self.bridge.mcast.disable_port(port)
        self._recompute(was_root)

    # -- configuration ----------------------------------------------------------------------------------------------

    def set_enabled(self, enabled: bool) -> None:
        """Turn the protocol on or off (br_stp_start, br_stp_stop)."""
        if self.enabled == enabled:
            return
        self.enabled = enabled
        if enabled:
            self.own_forward_delay = min(max(self.own_forward_delay, 2 * SECOND), 30 * SECOND)
            if self.is_root:
                self.forward_delay = self.own_forward_delay
            if self.bridge.up:
                self.hello_timer.start(self.hello_time)
        self.port_state_selection()

    def change_id(self, own: int) -> None:
        """Take another bridge id, for a new MAC or priority (br_stp_change_bridge_id)."""
        was_root, old = self.is_root, self.own
        self.own = own
        for port in self.bridge.ports:
            if port.stp.bridge == old:
                port.stp.bridge = own
            if port.stp.root == old:
                port.stp.root = own
        self._recompute(was_root)

    def set_port_priority(self, port: BridgePort, priority: int) -> None:
        """Change a port's priority (br_stp_set_port_priority)."""
        stp = port.stp
        designated = self.is_designated(port)
        stp.priority, stp.own_id = priority, port_id(priority, port.number)
        if designated:
            stp.port_id = stp.own_id
        if stp.bridge == self.own and stp.own_id < stp.port_id:
            self.become_designated(port)
            self.port_state_selection()

    def set_cost(self, port: BridgePort, cost: int) -> None:
        """Change a path cost by hand (br_stp_set_path_cost)."""
        port.cost_by_user = True
        port.stp.cost = cost
        self.configuration_update()
        self.port_state_selection()


def _root_vector(stp: PortStp) -> tuple[int, int, int, int, int]:
    """Return what decides between two root ports, smallest first."""
    return (stp.root, stp.root_cost + stp.cost, stp.bridge, stp.port_id, stp.own_id)
