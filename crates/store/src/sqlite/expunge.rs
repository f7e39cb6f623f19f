//! Erases what deleted and overwritten rows left in the database's files.
//!
//! The writer overwrites with zeros what it frees (`PRAGMA secure_delete`, `file.rs`). That is not all: when SQLite moves
//! rows to a neighbouring page, their bytes stay in the free space of the old one (`free_space.rs`). So all pages are looked
//! through by a reader, those with leftovers are written with their free space cleared, some at a time, and then the log,
//! with older states of pages, is moved into the database and truncated. What was deleted before a page was looked at
//! cannot come into it afterwards: rows that are gone are moved nowhere.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{SqliteStore, checkpoint, free_space};
use crate::{Outage, StoreError, limits};

/// Rounds of erasing, one at a time: whoever asks while one goes on shares the next.
#[derive(Default)]
pub(super) struct Rounds {
    begun: AtomicU64,
    /// The last one that went to its end.
    done: Mutex<u64>,
}

impl SqliteStore {
    pub(super) async fn expunge_all(&self) -> Result<(), StoreError> {
        let begun_before = self.rounds.begun.load(Ordering::SeqCst);
        let mut done = self.rounds.done.lock().await;
        if *done > begun_before {
            return Ok(());
        }
        let round = self.rounds.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.clear_free_space().await?;
        self.truncate_log().await?;
        *done = round;
        Ok(())
    }

    async fn clear_free_space(&self) -> Result<(), StoreError> {
        let Some(pages) = self.readers.run(pages).await? else {
            return self.writer.between_writes(rewrite).await;
        };
        let mut first = free_space::FIRST_PAGE;
        while first <= pages {
            let end = (first + limits::EXPUNGE_PAGES_READ).min(pages + 1);
            let found = self.readers.run(move |db| with_leftovers(db, first, end)).await?;
            for some in found.chunks(limits::EXPUNGE_PAGES_WRITTEN) {
                let some = some.to_vec();
                self.writer.run(move |db| clear(db, &some)).await?;
            }
            first = end;
        }
        Ok(())
    }

    async fn truncate_log(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + limits::EXPUNGE_WAIT;
        while !self.writer.between_writes(checkpoint::truncate).await? {
            if Instant::now() >= deadline {
                return Err(StoreError::Unavailable {
                    outage: Outage::Locked,
                    source: "somebody reads an older state of the database".into(),
                });
            }
            tokio::time::sleep(limits::EXPUNGE_PAUSE).await;
        }
        Ok(())
    }
}

/// How many pages the database has; none if they cannot be looked at one by one.
fn pages(db: &Connection) -> Result<Option<i64>, StoreError> {
    // Compiled in by LIBSQLITE3_FLAGS in `.cargo/config.toml`.
    let shown: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'sqlite_dbpage')")?
        .query_row([], |row| row.get(0))?;
    let pragma = |text| db.prepare_cached(text)?.query_row([], |row| row.get::<_, i64>(0));
    let pages = pragma("PRAGMA page_count")?;
    // Maps of pointers look like pages of b-trees, and are in files that shrink by themselves: none of ours does.
    let has_maps = pragma("PRAGMA auto_vacuum")? != 0;
    Ok(one_by_one(pages, shown, has_maps))
}

/// So many pages, if each can be looked at and told by its first byte.
fn one_by_one(pages: i64, shown: bool, has_maps: bool) -> Option<i64> {
    (shown && !has_maps && pages < free_space::PAGES_MAX).then_some(pages)
}

/// The pages among these that have leftovers.
fn with_leftovers(db: &Connection, first: i64, end: i64) -> Result<Vec<i64>, StoreError> {
    let mut query = db.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    let mut found = Vec::new();
    for page in first..end {
        let look = |row: &rusqlite::Row<'_>| Ok(free_space::has_leftovers(row.get_ref(0)?.as_blob()?));
        if query.query_row([page], look).optional()? == Some(true) {
            found.push(page);
        }
    }
    Ok(found)
}

/// Clears these pages, as they are by now.
fn clear(db: &Connection, pages: &[i64]) -> Result<(), StoreError> {
    let mut query = db.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    let mut update = db.prepare_cached("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1")?;
    for number in pages {
        let page: Option<Vec<u8>> = query.query_row([number], |row| row.get(0)).optional()?;
        if let Some(mut page) = page
            && free_space::clear(&mut page)
        {
            update.execute(params![number, page])?;
        }
    }
    Ok(())
}

/// Writes the database anew, of nothing but what is in it. Other writes wait as long as that takes: it grows with the
/// database.
fn rewrite(db: &Connection) -> Result<(), rusqlite::Error> {
    db.execute_batch("VACUUM")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use super::*;
    use crate::{BoxFuture, Store};

    /// A store whose file has many pages with leftovers.
    async fn store(directory: &std::path::Path, rows: u64) -> Arc<SqliteStore> {
        let store = SqliteStore::open(&directory.join("rotunda.db")).unwrap();
        let fill = move |db: &Connection| {
            db.execute_batch("CREATE TABLE scattered (key BLOB PRIMARY KEY, word TEXT) WITHOUT ROWID")?;
            let mut insert = db.prepare("INSERT INTO scattered VALUES (?1, ?2)")?;
            for number in 0..rows {
                let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
                insert.execute(params![key, "x".repeat(number as usize * 7 % 90)])?;
            }
            Ok(())
        };
        store.writer.run(fill).await.unwrap();
        Arc::new(store)
    }

    /// Begins what is not over at once.
    fn begins<T>(future: &mut BoxFuture<'_, T>) -> bool {
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }

    async fn found(store: &SqliteStore) -> usize {
        let read = |db: &Connection| {
            let pages = pages(db)?.unwrap();
            Ok(with_leftovers(db, free_space::FIRST_PAGE, pages + 1)?.len())
        };
        store.readers.run(read).await.unwrap()
    }

    #[tokio::test]
    async fn others_write_while_free_space_is_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path(), 100_000).await;
        let writes = found(&store).await / limits::EXPUNGE_PAGES_WRITTEN;
        assert!(writes >= 2, "{writes}");
        let expunging = {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.expunge().await })
        };
        let mut others = 0;
        while !expunging.is_finished() {
            store.check().await.unwrap();
            others += 1;
        }
        expunging.await.unwrap().unwrap();
        assert!(others >= writes, "{others} of others between {writes} of ours");
        assert_eq!(found(&store).await, 0);
        let check = |db: &Connection| Ok(db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?);
        let sound: String = store.readers.run(check).await.unwrap();
        assert_eq!(sound, "ok");
    }

    #[tokio::test]
    async fn who_asks_during_a_round_shares_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path(), 20_000).await;
        let begun = || store.rounds.begun.load(Ordering::SeqCst);
        let mut first = store.expunge();
        // It begins, and the others ask while it goes on.
        assert!(begins(&mut first));
        let mut others: Vec<_> = (0..20).map(|_| store.expunge()).collect();
        for other in &mut others {
            assert!(begins(other));
        }
        first.await.unwrap();
        assert_eq!(begun(), 1);
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(begun(), 2);
        store.expunge().await.unwrap();
        assert_eq!(begun(), 3);
    }

    #[test]
    fn pages_are_looked_at_unless_they_are_hidden_or_can_be_mistaken() {
        assert_eq!(one_by_one(7, true, false), Some(7));
        let last = free_space::PAGES_MAX - 1;
        assert_eq!(one_by_one(last, true, false), Some(last));
        assert_eq!(one_by_one(free_space::PAGES_MAX, true, false), None);
        assert_eq!(one_by_one(7, false, false), None);
        assert_eq!(one_by_one(7, true, true), None);
    }

    #[test]
    fn a_sqlite_that_shows_no_pages_is_known() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE some (word TEXT)").unwrap();
        assert_eq!(pages(&db).unwrap(), Some(2));
        hide_pages(&db);
        assert_eq!(pages(&db).unwrap(), None);
    }

    #[test]
    fn a_file_that_shrinks_by_itself_is_known() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("PRAGMA auto_vacuum = FULL; CREATE TABLE some (word TEXT)")
            .unwrap();
        assert_eq!(pages(&db).unwrap(), None);
    }

    /// As if SQLite was built without.
    #[allow(unsafe_code)]
    fn hide_pages(db: &Connection) {
        // SAFETY: the handle is open, and no list of exceptions means that all modules go. There is no safe way.
        let dropped = unsafe { rusqlite::ffi::sqlite3_drop_modules(db.handle(), std::ptr::null_mut()) };
        assert_eq!(dropped, rusqlite::ffi::SQLITE_OK);
    }

    #[tokio::test]
    async fn where_no_page_is_shown_the_database_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path(), 20_000).await;
        let before = found(&store).await;
        // A reader hides them, so whoever looks next finds none; each thread has a connection of its own.
        let all_are_there = Arc::new(std::sync::Barrier::new(limits::READERS));
        let hiding = (0..limits::READERS).map(|_| {
            let all_are_there = Arc::clone(&all_are_there);
            store.readers.run(move |db| {
                all_are_there.wait();
                hide_pages(db);
                Ok(())
            })
        });
        let hidden: Result<Vec<()>, StoreError> = futures_util::future::join_all(hiding).await.into_iter().collect();
        hidden.unwrap();
        assert_eq!(store.readers.run(pages).await.unwrap(), None);
        store.expunge().await.unwrap();
        drop(store);
        let store = SqliteStore::open(&directory.path().join("rotunda.db")).unwrap();
        let after = found(&store).await;
        assert!(before > 100 && after < before / 10, "{before}, then {after}");
    }

    #[tokio::test]
    async fn a_database_that_is_written_anew_keeps_hardly_any_leftovers() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path(), 20_000).await;
        let before = found(&store).await;
        store.writer.between_writes(rewrite).await.unwrap();
        // What a few pages still have is of rows that are there.
        let after = found(&store).await;
        assert!(before > 100 && after < before / 10, "{before}, then {after}");
    }
}
