//! The few parts of an RTP packet (RFC 3550 section 5.1) that a node reads itself.

/// Payload of an RTP packet, past CSRCs and header extensions; `None` when it is cut short.
pub fn rtp_payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let mut offset = 12 + 4 * usize::from(first & 0x0F);
    if first & 0x10 != 0 {
        let words = packet.get(offset + 2..offset + 4)?;
        offset += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    let padding = if first & 0x20 != 0 {
        usize::from(*packet.last()?)
    } else {
        0
    };
    packet.get(offset..packet.len().checked_sub(padding)?)
}

/// Source of an RTP packet (RFC 3550 section 5.1).
pub fn ssrc(packet: &[u8]) -> Option<u32> {
    packet.get(8..12)?.try_into().ok().map(u32::from_be_bytes)
}
