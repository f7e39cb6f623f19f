//! The SQLite backend shows every behaviour of the suite.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use store::{BoxFuture, SqliteStore, Store};

fn fresh() -> BoxFuture<'static, Arc<dyn Store>> {
    Box::pin(async { Arc::new(SqliteStore::in_memory().unwrap()) as Arc<dyn Store> })
}

store::conformance_tests!(fresh);
