//! `rotunda token`: an access token for one participant, made without the server's help.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::env::{Known, known};
use super::span::span_s;
use super::{Failure, Options, print};
use crate::access_token;

/// Options of the command.
#[derive(Args)]
pub(super) struct TokenArgs {
    /// Who joins
    #[arg(long, value_name = "NAME")]
    identity: String,
    /// The only room that it lets into; without it, any room
    #[arg(long, value_name = "NAME|SID")]
    room: Option<String>,
    /// How long it is valid, at most 24h: 90s, 30m, 4h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime_s)]
    ttl: i64,
    /// With the fixed credentials of `rotunda dev`
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    options: Options,
}

/// Prints the token.
pub(super) fn run(args: &TokenArgs) -> Result<(), Failure> {
    let length = args.identity.chars().count();
    if length == 0 || length > access_token::IDENTITY_CHARS_MAX {
        return Err(Failure::Usage(format!(
            "--identity: it has 1 to {} characters",
            access_token::IDENTITY_CHARS_MAX
        )));
    }
    let Known { api_key, .. } = known(&args.options, args.dev)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| Failure::Other("the clock stands before 1970".to_owned()))?;
    let now_s =
        i64::try_from(now.as_secs()).map_err(|_| Failure::Other("the clock stands too far ahead".to_owned()))?;
    let token = access_token::issue(&api_key, &args.identity, args.room.as_deref(), args.ttl, now_s)
        .map_err(|error| Failure::Other(format!("the token cannot be signed: {error}")))?;
    print(&format!("{token}\n"))
}

fn lifetime_s(text: &str) -> Result<i64, String> {
    span_s(text)
        .and_then(|seconds| i64::try_from(seconds).ok())
        .filter(|seconds| (1..=access_token::LIFETIME_MAX_S).contains(seconds))
        .ok_or_else(|| "a time such as 90s, 30m or 4h, at most 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lifetimes() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("4h", 14_400),
            ("1d", 86_400),
            ("24h", 86_400),
            ("3600", 3600),
        ] {
            assert_eq!(lifetime_s(text), Ok(seconds), "{text}");
        }
        for text in ["", "h", "0s", "25h", "2d", "-1h", "4 h", "4hours", "99999999999d", "é"] {
            assert!(lifetime_s(text).is_err(), "{text}");
        }
    }
}
