//! What a viewer asks for, and which layer that means.
//!
//! Two ways to ask: `?maxHeight=` when the session is opened, and the layer selection of the WHEP core extensions
//! (`urn:ietf:params:whep:ext:core:layer`) at any time. Both stay in force while sizes become known and change.

use super::Layer;
use serde::Deserialize;

/// Why a request for layers was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct InvalidLayerRequest {
    /// Field of the body or of the query.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub detail: String,
}

/// Body of the layer extension. Everything is optional; without any wish the choice is the server's again. Unknown
/// fields are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerRequest {
    /// The m-section meant: its index or its mid; the video when absent.
    pub media_id: Option<String>,
    /// The publisher's name of one layer. Earlier drafts call it `encodingId`.
    #[serde(alias = "encodingId")]
    pub rid: Option<String>,
    /// Index of one layer, 0 is the lowest.
    pub spatial_layer_id: Option<u8>,
    /// Highest part of the frame rate to send, 0 is the lowest.
    pub temporal_layer_id: Option<u8>,
    /// Index of the highest layer to send.
    pub max_spatial_layer_id: Option<u8>,
    /// The same as `temporalLayerId`: lower parts are always sent with the higher ones.
    pub max_temporal_layer_id: Option<u8>,
    /// Widest picture to send, in pixels.
    pub max_width: Option<u32>,
    /// Highest picture to send, in pixels.
    pub max_height: Option<u32>,
}

impl LayerRequest {
    /// Parses a body.
    ///
    /// # Errors
    /// When it is malformed; the error names the field.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidLayerRequest> {
        // Serde would take an array for the fields in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(bad("body", format!("the body is no JSON object; {EXAMPLE}")));
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let request: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "body".to_owned() } else { path };
            bad(field, format!("{}; {EXAMPLE}", error.inner()))
        })?;
        for (field, value) in [("maxWidth", request.max_width), ("maxHeight", request.max_height)] {
            if value == Some(0) {
                return Err(bad(field, format!("{field} is a number of pixels, at least 1")));
            }
        }
        Ok(request)
    }

    /// Checks the request against the layers that there are and the m-section that they are sent in.
    ///
    /// # Errors
    /// When a field names what is not there.
    pub fn check(&self, media: &MediaId, layers: &[Layer]) -> Result<(), InvalidLayerRequest> {
        if let Some(id) = &self.media_id
            && !media.is(id)
        {
            let detail = format!("`{}` is not the video of this session, which is {media}", shown(id));
            return Err(bad("mediaId", detail));
        }
        if let Some(rid) = &self.rid
            && !layers.iter().any(|layer| layer.rid.as_ref() == Some(rid))
        {
            let known: Vec<&str> = layers.iter().filter_map(|layer| layer.rid.as_deref()).collect();
            let detail = format!(
                "there is no layer `{}`; the stream has {}",
                shown(rid),
                known.join(", ")
            );
            return Err(bad("rid", detail));
        }
        if let Some(index) = self.spatial_layer_id
            && self.rid.is_none()
            && usize::from(index) >= layers.len()
        {
            let detail = format!(
                "there is no layer {index}; the stream has {} (0 is the lowest)",
                layers.len()
            );
            return Err(bad("spatialLayerId", detail));
        }
        Ok(())
    }
}

/// The m-section that a video is sent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaId {
    /// Its place in the SDP, from 0.
    pub index: usize,
    pub mid: String,
}

impl MediaId {
    fn is(&self, id: &str) -> bool {
        id == self.mid || id == self.index.to_string()
    }
}

impl std::fmt::Display for MediaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` (mid `{}`)", self.index, self.mid)
    }
}

/// The height of `?maxHeight=` in the query of a WHEP endpoint.
///
/// # Errors
/// When it is no number of pixels.
pub fn max_height(query: Option<&str>) -> Result<Option<u32>, InvalidLayerRequest> {
    let Some(text) = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| match pair.split_once('=') {
            Some(("maxHeight", value)) => Some(value),
            None if pair == "maxHeight" => Some(""),
            _ => None,
        })
    else {
        return Ok(None);
    };
    text.parse().ok().filter(|height| *height > 0).map(Some).ok_or_else(|| {
        let detail = format!(
            "`{}` is no number of pixels: write for example ?maxHeight=360",
            shown(text)
        );
        bad("maxHeight", detail)
    })
}

/// Layers for a viewer's consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Index of the highest layer to send.
    pub spatial: u8,
    /// Highest part of the frame rate, all when absent.
    pub temporal: Option<u8>,
}

/// Chooses among `layers`: the newest request, else the height that the session was opened with; never above `cap`.
/// Without any wish it is the highest one.
pub fn target(layers: &[Layer], request: &LayerRequest, url_max_height: Option<u32>, cap: Option<u8>) -> Target {
    let top = u8::try_from(layers.len().saturating_sub(1)).unwrap_or(u8::MAX);
    let named = match &request.rid {
        Some(rid) => layers
            .iter()
            .position(|layer| layer.rid.as_ref() == Some(rid))
            .and_then(|index| u8::try_from(index).ok()),
        None => request.spatial_layer_id,
    };
    let max_height = request.max_height.or(url_max_height);
    let fits = |layer: &Layer| match layer.size {
        Some(size) => {
            max_height.is_none_or(|most| size.height <= most) && request.max_width.is_none_or(|most| size.width <= most)
        }
        // A size that is not known yet fits no bound; it counts again as soon as it is known.
        None => max_height.is_none() && request.max_width.is_none(),
    };
    let highest = layers
        .iter()
        .rposition(fits)
        .and_then(|index| u8::try_from(index).ok())
        .unwrap_or(0);
    let bounds = [Some(top), named, request.max_spatial_layer_id, Some(highest), cap];
    let temporal = [request.temporal_layer_id, request.max_temporal_layer_id];
    Target {
        spatial: bounds.into_iter().flatten().min().unwrap_or(0),
        temporal: temporal.into_iter().flatten().min(),
    }
}

const EXAMPLE: &str = r#"send for example {"mediaId":"0","rid":"h"}"#;

fn bad(field: impl Into<String>, detail: String) -> InvalidLayerRequest {
    let field = field.into();
    InvalidLayerRequest { field, detail }
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::frame_size::FrameSize;

    /// `q` 320 x 180, `h` 640 x 360, `f` 1280 x 720.
    fn three() -> Vec<Layer> {
        [("q", 320, 180), ("h", 640, 360), ("f", 1280, 720)]
            .map(|(rid, width, height)| Layer {
                rid: Some(rid.to_owned()),
                size: Some(FrameSize { width, height }),
                bitrate: 1,
            })
            .to_vec()
    }

    fn chosen(body: &str) -> Target {
        target(&three(), &LayerRequest::parse(body.as_bytes()).unwrap(), None, None)
    }

    #[test]
    fn without_a_wish_the_highest_layer_is_the_bound() {
        assert_eq!(
            chosen(r#"{"mediaId":"0"}"#),
            Target {
                spatial: 2,
                temporal: None
            }
        );
    }

    #[test]
    fn a_layer_can_be_named_by_rid_by_its_old_name_and_by_index() {
        for body in [
            r#"{"rid":"h"}"#,
            r#"{"encodingId":"h"}"#,
            r#"{"spatialLayerId":1}"#,
            r#"{"rid":"h","spatialLayerId":0}"#,
        ] {
            assert_eq!(chosen(body).spatial, 1, "{body}");
        }
    }

    #[test]
    fn bounds_on_index_width_and_height_hold_together() {
        assert_eq!(chosen(r#"{"maxHeight":400}"#).spatial, 1);
        assert_eq!(chosen(r#"{"maxHeight":720}"#).spatial, 2);
        assert_eq!(chosen(r#"{"maxWidth":639}"#).spatial, 0);
        assert_eq!(chosen(r#"{"maxHeight":400,"maxSpatialLayerId":0}"#).spatial, 0);
        assert_eq!(chosen(r#"{"maxHeight":1}"#).spatial, 0, "the lowest is always sent");
        let lowered = Target {
            spatial: 2,
            temporal: Some(1),
        };
        assert_eq!(chosen(r#"{"temporalLayerId":2,"maxTemporalLayerId":1}"#), lowered);
    }

    #[test]
    fn the_height_of_the_url_holds_until_a_request_names_another() {
        let request = |body: &str| LayerRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(target(&three(), &request("{}"), Some(200), None).spatial, 0);
        assert_eq!(
            target(&three(), &request(r#"{"maxHeight":720}"#), Some(200), None).spatial,
            2
        );
    }

    #[test]
    fn loss_bounds_every_wish() {
        let request = LayerRequest::parse(br#"{"rid":"f"}"#).unwrap();
        assert_eq!(target(&three(), &request, None, Some(1)).spatial, 1);
    }

    #[test]
    fn a_layer_of_unknown_size_fits_no_bound_but_is_sent_without_one() {
        let mut layers = three();
        layers[2].size = None;
        assert_eq!(target(&layers, &LayerRequest::default(), None, None).spatial, 2);
        assert_eq!(target(&layers, &LayerRequest::default(), Some(2000), None).spatial, 1);
        layers[0].size = None;
        layers[1].size = None;
        assert_eq!(target(&layers, &LayerRequest::default(), Some(2000), None).spatial, 0);
    }

    #[test]
    fn a_malformed_request_is_refused_and_names_its_field() {
        for (body, field) in [
            ("", "body"),
            ("[1]", "body"),
            (r#"{"rid":7}"#, "rid"),
            (r#"{"maxHeight":0}"#, "maxHeight"),
            (r#"{"maxHeight":-5}"#, "maxHeight"),
            (r#"{"maxWidth":0}"#, "maxWidth"),
            (r#"{"spatialLayerId":300}"#, "spatialLayerId"),
            (r#"{"mediaId":0}"#, "mediaId"),
        ] {
            assert_eq!(LayerRequest::parse(body.as_bytes()).unwrap_err().field, field, "{body}");
        }
    }

    #[test]
    fn a_request_for_what_there_is_not_is_refused_and_names_its_field() {
        let media = MediaId {
            index: 1,
            mid: "v".to_owned(),
        };
        let check = |body: &str| LayerRequest::parse(body.as_bytes()).unwrap().check(&media, &three());
        for body in [
            r#"{"mediaId":"1"}"#,
            r#"{"mediaId":"v","rid":"q"}"#,
            r#"{"spatialLayerId":2}"#,
            "{}",
        ] {
            assert!(check(body).is_ok(), "{body}");
        }
        for (body, field) in [
            (r#"{"mediaId":"0"}"#, "mediaId"),
            (r#"{"rid":"x"}"#, "rid"),
            (r#"{"spatialLayerId":3}"#, "spatialLayerId"),
        ] {
            assert_eq!(check(body).unwrap_err().field, field, "{body}");
        }
    }

    #[test]
    fn max_height_in_a_query_is_a_number_of_pixels_or_refused() {
        assert_eq!(max_height(None).unwrap(), None);
        assert_eq!(max_height(Some("a=b")).unwrap(), None);
        assert_eq!(max_height(Some("a=b&maxHeight=360")).unwrap(), Some(360));
        for query in [
            "maxHeight=",
            "maxHeight",
            "maxHeight=0",
            "maxHeight=-1",
            "maxHeight=high",
            "maxHeight=99999999999",
        ] {
            assert_eq!(max_height(Some(query)).unwrap_err().field, "maxHeight", "{query}");
        }
    }
}
