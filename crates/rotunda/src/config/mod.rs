//! Configuration in two stages: what was written ([`Raw`]), then what it means ([`Settings`]).
//!
//! Flags go over environment variables, these over the file of `--config`, that over the defaults
//! of `config.default.toml`. Every fault is found in one go, each told in one sentence that names
//! the place where the value was written.

mod faults;
mod layers;
mod raw;
mod rooms;
mod settings;

pub use faults::ConfigError;
pub use layers::{Environment, Written};
pub use raw::{List, Raw, SecretText, Text};
pub use rooms::{AdHocSettings, RoomSettings};
pub(crate) use rooms::{VIDEO_CODECS, dedup};
pub use settings::{Advertised, Certificate, Data, PresetAccount, PresetApiKey, Settings};
pub(crate) use settings::{covered, local, signaling_url};
