//! What every request handler needs, in one value.

use std::sync::Arc;

use store::Store;

use crate::config::Settings;
use crate::credentials::Credentials;
use crate::door::Door;
use crate::rooms::Rooms;
use crate::store_watch::StoreWatch;
use crate::vault::Vault;
use crate::webhooks::Waker;

/// Shared by all requests and sockets; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Reads go straight to the store.
    pub store: Arc<dyn Store>,
    /// Whether the store works at the moment.
    pub watch: StoreWatch,
    /// Everything that changes a room goes through its task.
    pub rooms: Rooms,
    /// Tells that callbacks became due.
    pub callbacks: Waker,
    /// Accounts and API keys with their secrets, as they are at the moment.
    pub credentials: Arc<Credentials>,
    /// Changes them.
    pub vault: Arc<Vault>,
    /// Who comes too often or has too much.
    pub door: Arc<Door>,
    /// How the server is set up.
    pub settings: Arc<Settings>,
    /// Authenticates page tokens; kept in the database.
    pub page_key: [u8; 32],
}
