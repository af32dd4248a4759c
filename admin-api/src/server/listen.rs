//! Listening on every address, whichever families the kernel has.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

/// Binds `address`. `[::]` takes IPv4 as well, and becomes `0.0.0.0` where the kernel has no IPv6.
///
/// # Errors
/// When the address cannot be had.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && no_such_family(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        outcome => outcome,
    }
}

/// `EAFNOSUPPORT` without the module, `EADDRNOTAVAIL` with the family turned off.
fn no_such_family(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_includes_those_of_ipv4() {
        let listener = bind("[::]:0".parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_on_every_address_too() {
        let first = bind("[::]:0".parse().unwrap()).await.unwrap();
        let again = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, first.local_addr().unwrap().port()));
        assert_eq!(bind(again).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
