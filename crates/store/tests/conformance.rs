//! Both backends show every behaviour of the suite.
#![allow(clippy::unwrap_used)]

mod sqlite {
    use std::sync::Arc;

    use store::{BoxFuture, SqliteStore, Store};

    fn fresh() -> BoxFuture<'static, Arc<dyn Store>> {
        Box::pin(async { Arc::new(SqliteStore::in_memory().unwrap()) as Arc<dyn Store> })
    }

    store::conformance_tests!(fresh);
}

mod postgres {
    use std::sync::Arc;

    use store::{BoxFuture, PostgresStore, Store};
    use testkit::postgres::PostgresServer;

    fn fresh() -> BoxFuture<'static, Arc<dyn Store>> {
        Box::pin(async {
            let url = PostgresServer::shared().database().parse().unwrap();
            Arc::new(PostgresStore::open(&url).await.unwrap()) as Arc<dyn Store>
        })
    }

    store::conformance_tests!(fresh);
}
