//! What a connection does before HTTP.

use std::future::Future;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What a connection does before its first request.
pub trait Handshake: Clone + Send + 'static {
    /// The connection after it.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Shakes hands. The caller bounds the time.
    fn shake(self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// No handshake.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Handshake for Plain {
    type Io = TcpStream;
    async fn shake(self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}
