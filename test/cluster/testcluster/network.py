"""Cables and addresses between the machines: a switch on the control plane's machine, one cable to each other machine."""

from .layout import (
    CLIENT,
    CLIENT_ADDRESS,
    CONTROL_PLANE,
    CONTROL_PLANE_ADDRESS,
    OUTSIDE,
    OUTSIDE_ADDRESS,
    ROUTER_ADDRESS,
    SERVICE_RANGES,
    Address,
    Host,
    Layout,
)
from .machines import Machine

SWITCH = "switch"
# The router's end of the cable to OUTSIDE; it is no port of the switch.
OUTSIDE_PORT = "outside"

# No duplicate address detection: an address would be unusable for its first second. Bridged pod traffic passes netfilter, so that a
# Service's answer from a pod on the same node is translated back.
SYSCTLS = """
net.ipv4.ip_forward=1
net.ipv6.conf.all.forwarding=1
net.ipv6.conf.all.disable_ipv6=0
net.ipv6.conf.default.disable_ipv6=0
net.ipv6.conf.all.accept_dad=0
net.ipv6.conf.default.accept_dad=0
"""
BRIDGE_SYSCTLS = """
net.bridge.bridge-nf-call-iptables=1
net.bridge.bridge-nf-call-ip6tables=1
"""


def port_of(machine: str) -> str:
    """The switch's port for a machine: a network interface of the control plane's machine."""
    return f"to-{machine}"


def lay_out(layout: Layout, hosts: list[Host]) -> None:
    """Connects machines that have just been booted."""
    control_plane = Machine(layout, CONTROL_PLANE)
    control_plane.script(
        settings(SYSCTLS)
        # The switch's own traffic is forwarded in layer 2 and is nobody's Service: no translation there.
        + "\n".join(f"sysctl -qw {line.replace('=1', '=0')} 2>/dev/null || true" for line in BRIDGE_SYSCTLS.split())
        + f"""
ip link set lo up
ip link add {SWITCH} type bridge forward_delay 0
ip link set {SWITCH} up
{address(SWITCH, CONTROL_PLANE_ADDRESS)}
"""
        + "\n".join(routes_to_pods(host) for host in hosts)
    )
    connect_client(layout, hosts)
    connect_outside(layout)
    for host in hosts:
        connect_host(layout, host, hosts)


def connect_host(layout: Layout, host: Host, hosts: list[Host]) -> None:
    machine = Machine(layout, host.name)
    cable(layout, machine)
    machine.script(
        settings(SYSCTLS + BRIDGE_SYSCTLS)
        + f"""
ip link set lo up
{address("eth0", host.address)}
{default_route(CONTROL_PLANE_ADDRESS)}
"""
        + "\n".join(routes_to_pods(other) for other in hosts if other != host)
    )


def connect_client(layout: Layout, hosts: list[Host]) -> None:
    machine = Machine(layout, CLIENT)
    cable(layout, machine)
    machine.script(
        settings(SYSCTLS)
        + f"""
ip link set lo up
{address("eth0", CLIENT_ADDRESS)}
"""
        + "\n".join([*(routes_to_pods(host) for host in hosts), routes_to_services(hosts[0])])
    )


def connect_outside(layout: Layout) -> None:
    machine = Machine(layout, OUTSIDE)
    control_plane = Machine(layout, CONTROL_PLANE)
    control_plane.script(
        f"ip link add {OUTSIDE_PORT} type veth peer name eth0 netns {machine.init()}\n" + address(OUTSIDE_PORT, ROUTER_ADDRESS),
        only_network=True,
    )
    machine.script(
        settings(SYSCTLS)
        + f"""
ip link set lo up
{address("eth0", OUTSIDE_ADDRESS)}
ip route add 172.31.250.0/24 via {ROUTER_ADDRESS.v4}
ip -6 route add fd00:250::/64 via {ROUTER_ADDRESS.v6}
"""
    )


def cable(layout: Layout, machine: Machine) -> None:
    port = port_of(machine.name)
    Machine(layout, CONTROL_PLANE).script(
        f"ip link add {port} type veth peer name eth0 netns {machine.init()}\nip link set {port} master {SWITCH} up",
        # A pid means something only where it is seen.
        only_network=True,
    )


def settings(lines: str) -> str:
    return "\n".join(f"sysctl -qw {line}" for line in lines.split()) + "\n"


def address(interface: str, of: Address) -> str:
    return f"ip link set {interface} up\nip addr add {of.v4}/24 dev {interface}\nip -6 addr add {of.v6}/64 dev {interface} nodad"


def default_route(via: Address) -> str:
    return f"ip route add default via {via.v4}\nip -6 route add default via {via.v6}"


def routes_to_pods(host: Host) -> str:
    return f"ip route add {host.pods_v4} via {host.address.v4}\nip -6 route add {host.pods_v6} via {host.address.v6}"


def routes_to_services(via: Host) -> str:
    """A host's kube-proxy translates what it forwards as well."""
    v4, v6 = SERVICE_RANGES.split(",")
    return f"ip route add {v4} via {via.address.v4}\nip -6 route add {v6} via {via.address.v6}"
