//! Simulcast layers of a publisher's offer (RFC 8853), and which of them is the highest.

use super::SdpError;
use super::attributes::{first, values};
use super::steps::Walk;
use super::text::clip;
use sdp_types::Media;

/// Most layers that a publisher may send.
const MAX_LAYERS: usize = 4;

/// One layer, with the limits that `a=rid` sets, if any (RFC 8851).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Restriction id.
    pub rid: String,
    /// `max-width` in pixels.
    pub max_width: Option<u32>,
    /// `max-br` in bit/s.
    pub max_bitrate: Option<u64>,
}

/// `a=simulcast:send a;b,c;~d` (RFC 8853): the first alternative of each stream; `~` (paused) does not matter here.
pub(super) fn layers(media: &Media, field: &str) -> Result<Vec<Layer>, SdpError> {
    let Some(value) = first(&media.attributes, "simulcast") else {
        return Ok(Vec::new());
    };
    let mut words = value.split_ascii_whitespace().walked();
    let mut layers: Vec<Layer> = Vec::new();
    while let (Some(direction), Some(list)) = (words.next(), words.next()) {
        if direction != "send" {
            continue;
        }
        for stream in list.split(';').walked() {
            let rid = stream.split(',').next().unwrap_or_default().trim_start_matches('~');
            if rid.is_empty()
                || rid.len() > 16
                || !rid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            {
                return Err(SdpError::malformed(
                    field,
                    format!("a=simulcast: `{}` is not a rid", clip(rid)),
                ));
            }
            if layers.len() == MAX_LAYERS {
                return Err(SdpError::unsupported(
                    field,
                    format!("more than {MAX_LAYERS} simulcast layers are not supported"),
                ));
            }
            if layers.iter().walked().any(|known: &Layer| known.rid == rid) {
                return Err(SdpError::malformed(field, format!("a=simulcast names rid {rid} twice")));
            }
            layers.push(layer(media, rid));
        }
    }
    Ok(layers)
}

/// `a=rid:h send max-width=1280;max-br=1500000`, with or without payload types among the restrictions.
fn layer(media: &Media, rid: &str) -> Layer {
    let limits = values(&media.attributes, "rid").find_map(|value| {
        let (id, rest) = value.split_once(' ')?;
        let rest = rest.trim_start().strip_prefix("send")?;
        (id == rid).then_some(rest)
    });
    let limit = |name: &str| -> Option<u64> {
        let all = limits?.split([';', ' ']).walked();
        all.filter_map(|limit| limit.split_once('='))
            .find(|(key, _)| key.trim() == name)
            .and_then(|(_, value)| value.trim().parse().ok())
    };
    Layer {
        rid: rid.to_owned(),
        max_width: limit("max-width").and_then(|width| width.try_into().ok()),
        max_bitrate: limit("max-br"),
    }
}

/// mediasoup takes layers from low to high, but their order in SDP is no standard in practice. What is said of them
/// counts first (limits of `a=rid`), then names that say it themselves (`q h f`), then what is known of the client (OBS
/// numbers its layers, 0 being the highest), else the order as given.
pub(super) fn low_to_high(layers: &[Layer], user_agent: &str) -> Vec<String> {
    let mut sorted: Vec<&Layer> = layers.iter().collect();
    if layers.iter().all(|layer| layer.max_width.is_some()) {
        sorted.sort_by_key(|layer| layer.max_width);
    } else if layers.iter().all(|layer| layer.max_bitrate.is_some()) {
        sorted.sort_by_key(|layer| layer.max_bitrate);
    } else if layers.iter().all(|layer| rank(&layer.rid, layers).is_some()) {
        sorted.sort_by_key(|layer| rank(&layer.rid, layers));
    } else if is_obs(user_agent, layers) {
        sorted.reverse();
    }
    sorted.into_iter().map(|layer| layer.rid.clone()).collect()
}

fn rank(rid: &str, all: &[Layer]) -> Option<u32> {
    let has = |name: &str| all.iter().any(|layer| layer.rid == name);
    match rid {
        "q" | "l" | "low" => Some(0),
        "h" if has("f") => Some(1),
        "m" | "mid" | "medium" => Some(1),
        "f" | "h" | "high" => Some(2),
        // `r0 r1 r2`, lowest first, as players of several servers name them.
        _ => rid.strip_prefix('r').and_then(|number| number.parse().ok()),
    }
}

/// OBS since 32.1 offers `0;1;2`. Through a proxy its user agent may be lost, its names are not.
fn is_obs(user_agent: &str, layers: &[Layer]) -> bool {
    let numbered = layers.iter().enumerate().all(|(i, layer)| layer.rid == i.to_string());
    layers.len() > 1 && (numbered || user_agent.to_ascii_lowercase().contains("obs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdp_types::Session;

    fn sorted(simulcast: &str, rids: &[&str], user_agent: &str) -> Vec<String> {
        let mut text =
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n".to_owned();
        for rid in rids {
            text += &format!("a=rid:{rid}\r\n");
        }
        text += &format!("a=simulcast:{simulcast}\r\n");
        let session = Session::parse(text.as_bytes()).unwrap();
        low_to_high(&layers(&session.medias[0], "m=video").unwrap(), user_agent)
    }

    #[test]
    fn limits_of_the_layers_come_before_their_names() {
        let rids = [
            "f send max-width=320",
            "h send max-width=640",
            "q send pt=96;max-width=1280",
        ];
        assert_eq!(sorted("send f;h;q", &rids, ""), ["f", "h", "q"]);
        let rids = ["a send max-br=900000", "b send max-br=100000"];
        assert_eq!(sorted("send a;b", &rids, ""), ["b", "a"]);
    }

    #[test]
    fn names_that_say_it_come_before_the_order() {
        assert_eq!(sorted("send f;h;q", &[], ""), ["q", "h", "f"]);
        assert_eq!(sorted("send h;m;l", &[], ""), ["l", "m", "h"]);
        assert_eq!(sorted("send high;low", &[], ""), ["low", "high"]);
        assert_eq!(sorted("send r2;r0;r1", &[], ""), ["r0", "r1", "r2"]);
    }

    #[test]
    fn obs_numbers_its_layers_from_the_highest() {
        assert_eq!(
            sorted("send 0;1;2", &[], "Mozilla/5.0 (OBS-Studio/32.1.0; Linux x86_64)"),
            ["2", "1", "0"]
        );
        assert_eq!(
            sorted("send 0;1", &[], ""),
            ["1", "0"],
            "the user agent was lost on the way"
        );
        assert_eq!(sorted("send top;base", &[], "OBS-Studio/33.0"), ["base", "top"]);
    }

    #[test]
    fn what_nobody_knows_stays_as_it_was_given() {
        assert_eq!(sorted("send one;two", &[], "curl/8"), ["one", "two"]);
    }
}
