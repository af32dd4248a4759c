//! A publisher's session that is opened only for what the server answers: where media would go.

use super::candidates::IceDescription;
use super::config::{HeaderExtensions, Setup};
use super::error::PeerError;
use super::http::{self, Retry};
use crate::media::Codec;
use reqwest::Url;
use std::net::IpAddr;
use str0m::media::{Direction, MediaKind};

/// A session without media. The server ends it after some seconds (a media node: 15) unless [`Described::close`] did.
pub struct Described {
    /// Username fragment of the offer.
    pub ufrag: String,
    /// The server's side of ICE.
    pub ice: IceDescription,
    /// `Link` headers of the answer.
    pub links: Vec<String>,
    session: Url,
    token: Option<String>,
}

impl Described {
    /// POSTs an offer to a WHIP endpoint, as a publisher does, and keeps the answer.
    ///
    /// # Errors
    /// When the server refuses, or its answer has no ICE credentials.
    pub async fn open(whip_url: &str, token: Option<String>, bind: IpAddr, retry: Retry) -> Result<Self, PeerError> {
        let url = http::endpoint(whip_url)?;
        let setup = Setup {
            codecs: &[Codec::Opus, Codec::Vp8],
            extensions: HeaderExtensions::Browser,
            rtp_mode: false,
            bind,
            port: 0,
        };
        let mut engine = setup.engine().await?;
        let mut change = engine.rtc.sdp_api();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            change.add_media(kind, Direction::SendOnly, Some("sfumato".to_owned()), None, None);
        }
        let (offer, _) = change.apply().expect("two tracks were added");
        let offer = offer.to_sdp_string();
        let offered = IceDescription::of(&offer).expect("the engine offers ICE credentials");

        let created = http::post_offer(&url, &offer, token.as_deref(), retry).await?;
        let Some(ice) = IceDescription::of(&created.answer) else {
            // What is wrong is told already.
            let _ = http::delete(&created.session, token.as_deref()).await;
            return Err(PeerError::Answer {
                url: url.to_string(),
                what: "a=ice-ufrag and a=ice-pwd".to_owned(),
            });
        };
        Ok(Self {
            ufrag: offered.ufrag,
            ice,
            links: created.links,
            session: created.session,
            token,
        })
    }

    /// DELETEs the session.
    ///
    /// # Errors
    /// When the DELETE is refused.
    pub async fn close(self) -> Result<(), PeerError> {
        http::delete(&self.session, self.token.as_deref()).await
    }
}
