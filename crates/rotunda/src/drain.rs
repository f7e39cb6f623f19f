//! Empties the server before it stops: takes nobody new, waits for calls to end, ends the rest if asked.

use std::sync::Arc;
use std::time::Duration;

use room::{AccountSid, RoomSid};
use store::Store;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::app::App;
use crate::limits;
use crate::operator::Reply;
use crate::rooms::{Occupancy, Rooms, RoomsError};

/// How to drain.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How long calls may go on.
    pub wait: Duration,
    /// Whether rooms that are in progress then are completed, as by the API.
    pub end_rooms: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// The server is to stop; a sentence on who was still there.
    Done(String),
    /// The operator gave up: the server goes on and takes everybody again.
    GivenUp,
}

/// Drains the server. It refuses new rooms and participants as busy from the beginning, and is not
/// ready any more. Clients that lost their socket may still resume.
pub async fn drain(app: &App, plan: Plan, reply: &Reply) -> Drained {
    let rooms = &app.rooms;
    rooms.set_draining(true);
    let end = Instant::now() + plan.wait;
    let left = tokio::select! {
        left = everybody_gone(rooms, end, reply) => left,
        () = reply.gone() => {
            rooms.set_draining(false);
            return Drained::GivenUp;
        }
    };
    if plan.end_rooms {
        return Drained::Done(end_rooms(app, reply).await);
    }
    Drained::Done(if left == Occupancy::default() {
        "everybody had left".to_owned()
    } else {
        format!("{}, who resume with the next start", still_there(left))
    })
}

/// Waits until nobody is there, or until `end`; who is there then.
async fn everybody_gone(rooms: &Rooms, end: Instant, reply: &Reply) -> Occupancy {
    let mut told = None;
    loop {
        let left = rooms.occupancy();
        let now = Instant::now();
        if left == Occupancy::default() || now >= end {
            return left;
        }
        let is_due = told.is_none_or(|(before, at)| before != left || now.duration_since(at) >= limits::DRAIN_PROGRESS);
        if is_due {
            reply.progress(format!(
                "{}; they have {} s to leave",
                still_there(left),
                end.duration_since(now).as_secs()
            ));
            told = Some((left, now));
        }
        tokio::time::sleep(limits::DRAIN_INTERVAL).await;
    }
}

/// Completes every room, then gives their callbacks some time.
async fn end_rooms(app: &App, reply: &Reply) -> String {
    let all = app.rooms.list();
    reply.progress(format!("rooms to end: {}", all.len()));
    let (mut ended, mut failed) = (0, 0);
    let mut ending = JoinSet::new();
    for (account, room) in all {
        if ending.len() >= limits::DRAIN_AT_ONCE {
            count(ending.join_next().await, &mut ended, &mut failed);
        }
        ending.spawn(end_room(app.rooms.clone(), account, room));
    }
    while let Some(one) = ending.join_next().await {
        count(Some(one), &mut ended, &mut failed);
    }
    // What is not delivered by then is by the next process.
    let told = tokio::time::timeout(limits::DRAIN_CALLBACKS_TIME_MAX, all_told(&app.store));
    let callbacks = if told.await.is_ok() {
        ""
    } else {
        "; callbacks that are not delivered wait for the next start"
    };
    if failed == 0 {
        format!("rooms ended: {ended}{callbacks}")
    } else {
        format!(
            "rooms ended: {ended}; rooms that could not be ended and resume with the next start: {failed}{callbacks}"
        )
    }
}

async fn end_room(rooms: Rooms, account: AccountSid, room: RoomSid) -> bool {
    match rooms.complete(account, room).await {
        Ok(_) | Err(RoomsError::RoomNotInProgress) => true,
        Err(error) => {
            tracing::warn!(%room, error = &error as &dyn std::error::Error, "the room could not be ended");
            false
        }
    }
}

fn count(one: Option<Result<bool, tokio::task::JoinError>>, ended: &mut usize, failed: &mut usize) {
    match one {
        Some(Ok(true)) => *ended += 1,
        Some(_) => *failed += 1,
        None => {}
    }
}

/// Resolves when no callback is left to be delivered.
async fn all_told(store: &Arc<dyn Store>) {
    while !matches!(store.next_callback().await, Ok(None)) {
        tokio::time::sleep(limits::DRAIN_INTERVAL).await;
    }
}

fn still_there(left: Occupancy) -> String {
    format!("participants: {} in rooms: {}", left.participants, left.rooms)
}
