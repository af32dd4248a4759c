//! Why sessions end.

use std::fmt;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// DELETE on its URL.
    ClientAsked,
    /// The client closed DTLS.
    ClientClosed,
    /// The DTLS handshake failed.
    HandshakeFailed,
    /// The client never connected.
    NeverConnected,
    /// The client had not connected when others needed its router.
    Evicted,
    /// Nothing was received for too long.
    Silent,
    /// A publisher sent more than it may.
    SentTooMuch,
    /// A publisher sent RTP with an SSRC that no track of its offer has.
    StrangeSsrc,
    /// What a viewer watched has ended, or is carried here no more.
    StreamEnded,
    /// A publisher's name went to another one.
    NameLost,
    /// A viewer of a node that is drained; others take it.
    Drained,
    /// The deadline of a drain was over.
    DrainDeadline,
    /// By the admin API.
    Kicked,
    /// The node itself ends.
    NodeEnds,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::ClientAsked,
        Self::ClientClosed,
        Self::HandshakeFailed,
        Self::NeverConnected,
        Self::Evicted,
        Self::Silent,
        Self::SentTooMuch,
        Self::StrangeSsrc,
        Self::StreamEnded,
        Self::NameLost,
        Self::Drained,
        Self::DrainDeadline,
        Self::Kicked,
        Self::NodeEnds,
    ];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::ClientAsked => "client_asked",
            Self::ClientClosed => "client_closed",
            Self::HandshakeFailed => "handshake_failed",
            Self::NeverConnected => "never_connected",
            Self::Evicted => "evicted",
            Self::Silent => "silent",
            Self::SentTooMuch => "sent_too_much",
            Self::StrangeSsrc => "strange_ssrc",
            Self::StreamEnded => "stream_ended",
            Self::NameLost => "name_lost",
            Self::Drained => "drained",
            Self::DrainDeadline => "drain_deadline",
            Self::Kicked => "kicked",
            Self::NodeEnds => "node_ends",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientAsked => "the client asked",
            Self::ClientClosed => "the client closed DTLS",
            Self::HandshakeFailed => "the DTLS handshake failed",
            Self::NeverConnected => "it never connected",
            Self::Evicted => "it had not connected when other viewers needed its router",
            Self::Silent => "nothing was received",
            Self::SentTooMuch => "it sent more than a publisher may (--max-publisher-bitrate)",
            Self::StrangeSsrc => "it sent RTP with an SSRC that no track of its offer has",
            Self::StreamEnded => "the stream ended",
            Self::NameLost => "another publisher took the name over",
            Self::Drained => "this node is drained, others take viewers",
            Self::DrainDeadline => "the deadline of the drain is over",
            Self::Kicked => "it was kicked",
            Self::NodeEnds => "the node ends",
        })
    }
}
