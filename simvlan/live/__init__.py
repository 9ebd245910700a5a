"""Real machines' packets through simulated wires: what stands at the end of a wire that leads out of the simulation.

An *endpoint* (TAP, packet socket, veth leg) is a real device and its descriptor; a *port* joins it to the wire of a
simulated device. Linux's own facilities are meant here, never its rules: those stay in `devices/` and `stack/`.
"""
