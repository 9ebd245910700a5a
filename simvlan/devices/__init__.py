"""The semantics of devices, one file per Linux driver. Rules only decide; the network performs."""
