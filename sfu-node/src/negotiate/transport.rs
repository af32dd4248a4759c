//! The transport of one client: made on a router, connected with the client's DTLS parameters.

use crate::media::deadline::{MediaError, within};
use crate::media::worker::MediaWorker;
use crate::node::Node;
use crate::sdp::answer;
use crate::sdp::lines::Transport;
use crate::sdp::offer::Offer;
use mediasoup::prelude::*;
use mediasoup::types::data_structures::IceCandidate;

/// Bitrate that bandwidth estimation starts from, in bit/s: enough for a picture of 720 lines at once.
const INITIAL_BITRATE: u64 = 1_500_000;

impl Node {
    /// `estimate` says whether the client takes part in estimating its bandwidth. Without it mediasoup would guess from
    /// losses alone, beside the node's own controller.
    pub(super) async fn client_transport(
        &self,
        worker: &MediaWorker,
        router: &Router,
        estimate: bool,
    ) -> Result<WebRtcTransport, MediaError> {
        let mut options = WebRtcTransportOptions::new_with_server(worker.server.clone());
        options.enable_tcp = self.options.media_tcp;
        options.prefer_udp = true;
        options.enable_bwe = estimate;
        options.initial_available_outgoing_bitrate = INITIAL_BITRATE;
        // mediasoup counts only binding requests, which some clients stop sending; silence is judged by bytes instead.
        options.ice_consent_timeout = 0;
        within("opening a client transport", router.create_webrtc_transport(options)).await
    }

    /// Where the client of a transport reaches it, as of now.
    pub(super) fn candidates(&self, transport: &WebRtcTransport) -> Vec<IceCandidate> {
        self.announcing
            .candidates(transport.ice_candidates(), self.options.media_port)
    }

    pub(super) async fn connect_and_answer(
        &self,
        offer: &Offer,
        replies: &[answer::Reply<'_>],
        transport: &WebRtcTransport,
    ) -> Result<String, MediaError> {
        let remote = WebRtcTransportRemoteParameters {
            dtls_parameters: offer.dtls_parameters(),
        };
        within("starting DTLS", transport.connect(remote)).await?;
        let fingerprints = transport.dtls_parameters().fingerprints;
        let ours = Transport::of(transport, self.candidates(transport), &fingerprints).ok_or_else(no_certificate)?;
        Ok(answer::write(offer, replies, &ours, rand::random::<u64>() >> 1))
    }
}

pub(super) fn no_certificate() -> MediaError {
    MediaError::Unusable {
        what: "describing a transport",
        cause: "the worker has no certificate".to_owned(),
    }
}
