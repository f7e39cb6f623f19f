//! A checker that finds nothing proves nothing: a server that lies is found out, whatever the lie.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};
use testkit::history::{Rule, check};

use crate::random::run;
use crate::world::Meddler;

const STEPS: u64 = 200;

/// A run in which somebody lies in this way breaks this rule.
async fn is_found(rule: Rule, meddler: Option<Meddler>, swallows: Option<u64>) {
    let (_, history) = run(11, STEPS, meddler, swallows).await;
    let found = check(&history);
    assert!(
        found.iter().any(|violation| violation.rule == rule),
        "{rule:?} is not among {found:#?}"
    );
}

/// Lies in the rows of pages of participants.
fn rows(lie: impl Fn(&str, &mut Vec<Value>) + Send + Sync + 'static) -> Option<Meddler> {
    Some(Box::new(move |path, body| {
        if let Some(rows) = body["participants"].as_array_mut() {
            lie(path, rows);
        }
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_page_is_found() {
    let cache: Mutex<BTreeMap<String, Value>> = Mutex::default();
    let meddler: Meddler = Box::new(move |path, body| {
        // First pages of the connected, whatever their filters and their size.
        if let Some((list, _)) = path
            .split_once("?Status=connected&")
            .filter(|_| !path.contains("PageToken="))
        {
            let mut cache = cache.lock().unwrap();
            *body = cache.entry(list.to_owned()).or_insert_with(|| body.clone()).clone();
        }
    });
    is_found(Rule::NeverOlder, Some(meddler), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_row_is_found() {
    is_found(Rule::NothingLost, rows(|_, rows| drop(rows.pop())), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_row_is_found() {
    let last: Mutex<BTreeMap<String, Value>> = Mutex::default();
    let lie = rows(move |path, rows| {
        let list = path.split('?').next().unwrap_or_default().to_owned();
        let mut last = last.lock().unwrap();
        if path.contains("PageToken=")
            && let Some(row) = last
                .get(&list)
                .filter(|row| rows.first().is_some_and(|first| first["status"] == row["status"]))
        {
            rows.insert(0, row.clone());
            rows.pop();
        }
        if let Some(row) = rows.last() {
            last.insert(list, row.clone());
        }
    });
    is_found(Rule::NothingRepeated, lie, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_moves_is_found() {
    let reads: Mutex<u64> = Mutex::default();
    let lie = rows(move |_, rows| {
        let mut reads = reads.lock().unwrap();
        *reads += 1;
        for row in rows.iter_mut().filter(|row| row["duration"].is_number()) {
            row["duration"] = json!(*reads % 2);
        }
    });
    is_found(Rule::OneBeginningOneEnd, lie, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invented_row_is_found() {
    let lie = rows(|_, rows| {
        if let Some(row) = rows.first_mut() {
            row["identity"] = json!("nobody");
        }
    });
    is_found(Rule::NothingInvented, lie, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_twice_is_found() {
    let lie = rows(|path, rows| {
        if path.contains("Status=connected")
            && let Some(mut twin) = rows.last().cloned()
        {
            twin["sid"] = json!("PA00000000000000000000000000000001");
            rows.push(twin);
        }
    });
    is_found(Rule::LiveOnce, lie, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swallowed_callback_is_found() {
    is_found(Rule::NoGap, None, Some(2)).await;
}
