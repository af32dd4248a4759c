//! mediasoup: workers with their routers, pipes between routers, and a deadline around every request.

pub mod announced;
pub mod announcing;
pub mod counts;
pub mod deadline;
pub mod first_picture;
pub mod inner_addresses;
pub mod libraries;
pub mod pipe;
pub mod profiles;
pub mod rtp;
pub mod socket_buffers;
mod stun;
pub mod tcp_connections;
mod thread_load;
pub mod uses;
pub mod worker;
pub mod worker_threads;
pub mod workers;
