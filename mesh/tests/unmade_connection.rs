//! A node that lets nobody connect, as client and driver tell of it.

#![allow(clippy::unwrap_used)]

use sfumato_admin_api::client::{HttpNodeAdmin, NodeAdmin};
use sfumato_admin_api::files::TokenSource;
use sfumato_admin_api::types::{CloseLinks, Peer};
use sfumato_mesh::plan::{CloseStep, Surplus};
use sfumato_mesh::{DriveOptions, Step, drive};
use std::time::Duration;

/// A listener that the kernel lets nobody connect to any more: its queue of connections is full. It stays so while what is
/// answered lives.
fn deaf() -> (String, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100));
    let queued: Vec<_> = std::iter::repeat_with(connect).map_while(Result::ok).collect();
    (format!("http://{address}"), (listener, queued))
}

fn nothing() -> CloseLinks {
    CloseLinks {
        incarnation: "0.1".parse().unwrap(),
        links: Vec::new(),
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_told_by_client_and_driver_as_a_call_that_was_not_carried_out() {
    let (url, _held) = deaf();
    let step = Step::Close(CloseStep {
        admin_url: url.clone(),
        node: Peer {
            name: "sfu-1".parse().unwrap(),
            incarnation: "0.1".parse().unwrap(),
            admin_url: url.clone(),
            client_url: url.clone(),
        },
        ends: vec![Surplus {
            id: "l1".parse().unwrap(),
            peer: "sfu-2".parse().unwrap(),
            peer_incarnation: "0.1".parse().unwrap(),
        }],
    });
    let client = HttpNodeAdmin::new(TokenSource::fixed("secret"));
    let (request, options) = (nothing(), DriveOptions::default());
    let (closed, outcomes) = tokio::join!(client.close_links(&url, &request), drive(vec![step], &client, &options));
    let driven = outcomes.into_iter().next().unwrap().result.unwrap_err();
    for error in [closed.unwrap_err(), driven.source] {
        assert!(
            error.to_string().contains("the call was not carried out"),
            "{error}; {error:?}"
        );
        // Whether anybody is there is not known: only a refusal tells that.
        assert!(error.is_broken() && !error.is_refused(), "{error:?}");
    }
}
