//! Finds the process that has a port, from `/proc`: whoever meets "port in use" asks that next.

use std::fmt;
use std::fs;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// Name and pid of a process that has this port, such as `nginx (pid 12)`. `None` when it belongs to another user, or
/// has gone meanwhile.
#[must_use]
pub fn holder(protocol: Protocol, port: u16) -> Option<String> {
    let tables = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let inode = tables
        .iter()
        .find_map(|table| inode(&fs::read_to_string(table).ok()?, protocol, port))?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = numbers.find(|pid| has_open(Path::new(&format!("/proc/{pid}/fd")), &socket))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim()))
}

/// The socket that is bound to a port, from a table of the kernel (proc_net_tcp(5)): column 1 is the local address,
/// column 3 the state, column 9 the inode.
fn inode(table: &str, protocol: Protocol, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find_map(|columns| {
            let bound = columns.get(1)?.ends_with(&wanted);
            let waits = protocol == Protocol::Udp || *columns.get(3)? == LISTEN;
            columns
                .get(9)
                .filter(|_| bound && waits)
                .map(|inode| (*inode).to_owned())
        })
}

fn has_open(descriptors: &Path, socket: &str) -> bool {
    let Ok(entries) = fs::read_dir(descriptors) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listening_socket_of_the_port_counts() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:0BB9 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0\n\
            1: 0100007F:0BB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0\n";
        assert_eq!(inode(table, Protocol::Tcp, 3001), Some("222".to_owned()));
        assert_eq!(inode(table, Protocol::Tcp, 3002), None);
    }
}
