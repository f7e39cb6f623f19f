//! Reads from a section what its writer sends: track id, layers, retransmissions.

use crate::sdp::MediaDescription;
use crate::session::{Layer, Receive};

/// What the writer of this section sends on it, if its direction says so and it names a track.
pub fn receive(media: &MediaDescription) -> Option<Receive> {
    if !media.direction.sends() {
        return None;
    }
    Some(Receive {
        track_id: track_id(media)?,
        layers: layers(media),
    })
}

/// From `a=msid`, or from the msid of an SSRC (RFC 8830 section 4).
fn track_id(media: &MediaDescription) -> Option<String> {
    let of_section = media.msid.as_ref().and_then(|msid| msid.track.clone());
    let of_ssrc = || {
        let mut lines = media.ssrcs.iter().filter(|line| line.name == "msid");
        lines.find_map(|line| line.value.split(' ').nth(1)).map(str::to_owned)
    };
    of_section.or_else(of_ssrc).filter(|id| !id.is_empty())
}

/// The `SIM` group in its order, else the first SSRC that repairs no other (RFC 5576).
fn layers(media: &MediaDescription) -> Vec<Layer> {
    let simulcast = media.ssrc_groups.iter().find(|(semantics, _)| semantics == "SIM");
    let mut ssrcs: Vec<u32> = match simulcast {
        Some((_, members)) => members.clone(),
        None => {
            let mut sending = media.ssrcs.iter().map(|line| line.ssrc);
            sending.find(|ssrc| !is_repair(media, *ssrc)).into_iter().collect()
        }
    };
    let mut seen = Vec::new();
    ssrcs.retain(|ssrc| {
        !seen.contains(ssrc) && {
            seen.push(*ssrc);
            true
        }
    });
    let rtx = |of: u32| {
        let mut groups = media.ssrc_groups.iter().filter(|(semantics, _)| semantics == "FID");
        groups.find_map(|(_, members)| match members[..] {
            [primary, repair] if primary == of => Some(repair),
            _ => None,
        })
    };
    ssrcs.into_iter().map(|ssrc| Layer { ssrc, rtx: rtx(ssrc) }).collect()
}

fn is_repair(media: &MediaDescription, ssrc: u32) -> bool {
    let mut pairs = media.ssrc_groups.iter().filter(|(semantics, _)| semantics != "SIM");
    pairs.any(|(_, members)| members.iter().skip(1).any(|member| *member == ssrc))
}
