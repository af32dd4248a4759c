//! TCP connections to the media ports, which mediasoup's workers hold in this process: which there are, and how one is ended.

use crate::limits::media_tcp::Connection;
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};
use sfumato_admin_api::server::client_address::plain;
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::os::fd::{BorrowedFd, RawFd};

/// Those that are open to one of these ports.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn open(ports: &RangeInclusive<u16>) -> io::Result<Vec<Connection>> {
    let listed = procfs::net::tcp().map_err(io::Error::other)?;
    // There is none where the system has no IPv6.
    let six = procfs::net::tcp6().unwrap_or_default();
    // One that is not accepted yet has no inode.
    let ours = |entry: &TcpNetEntry| {
        entry.state == TcpState::Established && entry.inode != 0 && ports.contains(&entry.local_address.port())
    };
    let all = listed.into_iter().chain(six).filter(ours);
    Ok(all
        .map(|entry| Connection {
            client: canonical(entry.remote_address),
            server: canonical(entry.local_address),
            inode: entry.inode,
        })
        .collect())
}

/// Ends connections of this process: the worker reads their end, as if the clients had closed them. Answers how many it were.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn end(connections: &[Connection]) -> io::Result<usize> {
    let wanted: HashMap<u64, &Connection> = connections.iter().map(|it| (it.inode, it)).collect();
    let descriptors = Process::myself().and_then(|me| me.fd()).map_err(io::Error::other)?;
    let mut ended = 0;
    for descriptor in descriptors.flatten() {
        if let FDTarget::Socket(inode) = descriptor.target
            && let Some(connection) = wanted.get(&inode)
        {
            ended += usize::from(end_one(descriptor.fd, connection));
        }
    }
    Ok(ended)
}

fn end_one(descriptor: RawFd, connection: &Connection) -> bool {
    // SAFETY: it is used at once, to be duplicated, and fcntl(2) says whether there is such a descriptor. It may be another socket's by
    // now, so what it is the duplicate of is looked at before anything is done with it.
    let duplicate = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned();
    let Ok(stream) = duplicate.map(TcpStream::from) else {
        return false;
    };
    let is = |end: io::Result<SocketAddr>, wanted: SocketAddr| end.is_ok_and(|end| canonical(end) == wanted);
    is(stream.peer_addr(), connection.client)
        && is(stream.local_addr(), connection.server)
        && stream.shutdown(Shutdown::Both).is_ok()
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(plain(address.ip()), address.port())
}
