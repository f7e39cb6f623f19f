//! What the participants of a run send, made once at its beginning.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use negotiation::{CodecFormat, IceCredentials, MediaKind, NegotiatedSession};

use crate::description::{Published, VideoCodec, Wishes};
use crate::frames::{Clip, Opus, Playing};
use crate::link::{Conditions, splitmix};
use crate::peer::Identity;
use crate::plan::{AUDIO, Plan, video_layers};
use crate::source::{self, SPEECH_DBOV, Source};

/// The clips of a run, and who sends what of them.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    plan: Arc<Plan>,
    /// By format and by thousandths of the bit rate.
    clips: Arc<HashMap<(VideoCodec, u64), Arc<Clip>>>,
}

impl Media {
    pub(crate) fn new(plan: &Arc<Plan>) -> Self {
        let layers = plan
            .codecs
            .iter()
            .flat_map(|codec| plan.layers(*codec).iter().map(|layer| (*codec, *layer)));
        let clips = layers.map(|(codec, thousandths)| {
            let bits = plan.video_bits * thousandths / 1000;
            let clip = Clip::new(codec, bits, plan.frames_per_second, plan.seed ^ thousandths);
            ((codec, thousandths), Arc::new(clip))
        });
        Self {
            clips: Arc::new(clips.collect()),
            plan: plan.clone(),
        }
    }

    /// What a participant, by its number over all rooms, asks for.
    pub(crate) fn wishes(&self, identity: &Identity, number: u32) -> Wishes {
        let publishes = self.publishes(number);
        let codec = self.plan.codec(number);
        let mut codecs = self.plan.codecs.clone();
        if codecs.is_empty() {
            codecs.push(VideoCodec::Vp8);
        }
        // The format that it sends comes first.
        codecs.sort_by_key(|other| Some(*other) != codec);
        let video = codec.filter(|_| publishes).map(|codec| Published {
            id: format!("camera-{number}"),
            layers: video_layers(self.plan.layers(codec).len()),
        });
        let audio = (publishes && self.plan.audio).then(|| Published {
            id: format!("microphone-{number}"),
            layers: vec![AUDIO],
        });
        Wishes {
            fingerprint: identity.fingerprint(),
            ice: self.ice(number),
            audio,
            video,
            codecs,
            receives: true,
            candidates: Vec::new(),
        }
    }

    /// What it sends on the streams of its session, from `now` on.
    pub(crate) fn sources(&self, number: u32, session: &NegotiatedSession, now: Instant) -> Vec<Source> {
        let mut sources = Vec::new();
        if !self.plan.speaks(number) {
            return sources;
        }
        for section in &session.sections {
            let layers = section
                .receive
                .iter()
                .flat_map(|receive| receive.layers.iter().enumerate());
            for (index, layer) in layers {
                let seed = splitmix(self.plan.seed ^ u64::from(number) << 8 ^ index as u64);
                let made = match section.kind {
                    MediaKind::Audio => self.audio(section),
                    MediaKind::Video => self.video(number, section, index, seed),
                };
                let Some((payload_type, media)) = made else { continue };
                sources.push(Source {
                    ssrc: layer.ssrc,
                    payload_type,
                    sequence: 1000 + seed % 30_000,
                    timestamp: seed as u32,
                    next: now,
                    silent: false,
                    level: SPEECH_DBOV,
                    media,
                });
            }
        }
        sources
    }

    pub(crate) fn conditions(&self, number: u32) -> Option<(Conditions, Option<u64>)> {
        self.plan.conditions(number)
    }

    pub(crate) fn only_counts(&self, number: u32) -> bool {
        self.plan.only_counts(number)
    }

    pub(crate) fn publishes(&self, number: u32) -> bool {
        self.plan.publishes(number)
    }

    fn audio(&self, section: &negotiation::Section) -> Option<(u8, source::Media)> {
        let opus = section
            .codecs
            .iter()
            .find(|codec| matches!(codec.format, CodecFormat::Opus { .. }))?;
        let media = source::Media::Audio {
            opus: Opus::new(self.plan.audio_bytes),
            red_of: None,
            before: None,
        };
        Some((opus.payload_type, media))
    }

    fn video(
        &self,
        number: u32,
        section: &negotiation::Section,
        layer: usize,
        seed: u64,
    ) -> Option<(u8, source::Media)> {
        let codec = self.plan.codec(number)?;
        let agreed = section.codecs.iter().find(|agreed| match codec {
            VideoCodec::Vp8 => agreed.format == CodecFormat::Vp8,
            VideoCodec::H264 => matches!(agreed.format, CodecFormat::H264 { .. }),
        })?;
        let thousandths = *self.plan.layers(codec).get(layer)?;
        let clip = self.clips.get(&(codec, thousandths))?;
        let media = source::Media::Clip {
            playing: Playing::new(clip.clone(), seed),
            key: true,
        };
        Some((agreed.payload_type, media))
    }

    fn ice(&self, number: u32) -> IceCredentials {
        let secret = splitmix(self.plan.seed ^ u64::from(number) << 20);
        IceCredentials {
            ufrag: format!("load{number}"),
            pwd: format!("password{number:08}{secret:016x}"),
        }
    }
}
