//! When a client is told to come back later, or held back for a moment.
//!
//! Load is three things: joins that come faster than they may, sockets of which few are left, and a
//! store that is behind with its writes. A server that is drained, whose store fails or whose memory is
//! nearly used up takes nobody new either. A client that resumes a session is never turned away for
//! load: it is in a room already, and its session runs out while it waits.

use std::time::{Duration, Instant};

use protocol::signaling::ClientMessage;
use room::AccountSid;

use crate::access_token::{self, AccessToken};
use crate::app::App;
use crate::limits;

/// Whether a client that says hello is welcome: then the token that it brought, if it is valid.
///
/// # Errors
/// How long, in milliseconds, it is to stay away.
pub(super) fn busy_for(app: &App, first: Option<&ClientMessage>) -> Result<Option<AccessToken>, i64> {
    let welcome = if app.rooms.closing().is_cancelled() {
        Err(limits::BUSY_WAIT)
    } else {
        overload(app, first)
    };
    welcome.map_err(|wait| i64::try_from(spread(wait.max(limits::BUSY_WAIT)).as_millis()).unwrap_or(i64::MAX))
}

/// Waits until a join is within the rate, up to [`limits::JOIN_HELD_MAX`]; false if that is not enough.
pub(super) async fn may_join(app: &App, account: AccountSid) -> bool {
    match app.door.join(account, limits::JOIN_HELD_MAX, Instant::now()) {
        Ok(Duration::ZERO) => true,
        Ok(wait) => {
            tokio::time::sleep(wait).await;
            true
        }
        Err(_) => false,
    }
}

fn overload(app: &App, first: Option<&ClientMessage>) -> Result<Option<AccessToken>, Duration> {
    let token = match first {
        Some(ClientMessage::Sync(_)) => return Ok(None),
        Some(ClientMessage::Ice(ice)) => Some(&ice.token),
        Some(ClientMessage::Connect(connect)) => Some(&connect.token),
        _ => None,
    };
    if !app.rooms.is_open() || app.door.is_crowded() || app.rooms.store_lag() > limits::STORE_LAG_BUSY {
        return Err(limits::BUSY_WAIT);
    }
    // Who shows no valid token is told so by what follows the welcome.
    let verified = token.and_then(|token| {
        let now_s = crate::rooms::wall().seconds();
        access_token::verify(token, &app.credentials, now_s).ok()
    });
    let account = verified.as_ref().map(|token| token.account);
    let wait = app.door.join_wait(account, Instant::now());
    // A short wait is spent inside.
    if wait > limits::JOIN_HELD_MAX / 2 {
        return Err(wait);
    }
    Ok(verified)
}

/// From `wait` to twice as long.
fn spread(wait: Duration) -> Duration {
    let [dice] = crate::rooms::random::<1>();
    wait + wait * u32::from(dice) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_turned_away_do_not_all_come_back_at_once() {
        let waits: std::collections::BTreeSet<_> = (0..200).map(|_| spread(limits::BUSY_WAIT)).collect();
        assert!(waits.len() > 20);
        assert!(
            waits
                .iter()
                .all(|wait| (limits::BUSY_WAIT..=2 * limits::BUSY_WAIT).contains(wait))
        );
    }
}
