//! Delivering again what was given up, when an operator says that the receiver is well.

use room::RoomSid;
use store::{Audit, CallbackFilter, Redelivery, RedeliveryRequest, Store, StoreError};

use super::clock::wall;

/// What to deliver again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// This one, however it stands.
    One(i64),
    /// All that were given up and match.
    GivenUp(CallbackFilter),
}

/// Makes them due; how many there were. Writes one line of the audit log, unless there were none. Whoever delivers is
/// woken by the caller.
///
/// # Errors
/// Those of the store; some may be due then.
pub async fn redeliver(store: &dyn Store, again: Again) -> Result<u64, StoreError> {
    let mut what = match &again {
        Again::One(id) => Redelivery::One(*id),
        Again::GivenUp(filter) => Redelivery::GivenUp {
            filter: filter.clone(),
            after: 0,
        },
    };
    let room = match &again {
        Again::One(id) => room_of(store, *id).await?,
        Again::GivenUp(filter) => filter.room,
    };
    let mut count = 0;
    loop {
        let request = RedeliveryRequest {
            what: what.clone(),
            now: wall(),
            by: (count == 0).then(|| line(room)),
        };
        let done = store.redeliver_callbacks(request).await?;
        count += done.count;
        match (&mut what, done.last) {
            (Redelivery::GivenUp { after, .. }, Some(last)) => *after = last,
            _ => return Ok(count),
        }
    }
}

async fn room_of(store: &dyn Store, id: i64) -> Result<Option<RoomSid>, StoreError> {
    let rows = store
        .callbacks(CallbackFilter::default(), id.saturating_sub(1), 1)
        .await?;
    Ok(rows.first().filter(|row| row.id == id).map(|row| row.room))
}

fn line(room: Option<RoomSid>) -> Audit {
    Audit {
        room,
        ..Audit::of_operator(wall(), "redeliver-callbacks")
    }
}

/// What came of it, for the operator.
pub fn sentence(again: &Again, count: u64) -> String {
    match (again, count) {
        (Again::One(id), 0) => format!(
            "there is no callback {id} that can be delivered now: it waits behind another one of its room, or is forgotten"
        ),
        (Again::GivenUp(_), 0) => "no callback that matches was given up".to_owned(),
        (_, count) => format!("callbacks to be delivered again: {count}"),
    }
}
