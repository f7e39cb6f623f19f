//! The table of contents: every path below `/v1`.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get};

use super::auth::Caller;
use super::base_url::BaseUrl;
use super::error::ApiError;
use super::openapi::{self, Description};
use super::operation::Operation;
use super::path::RequestPath;
use super::{cors, participant, room, subscribe_rules, track};
use crate::app::App;
use crate::config::Settings;

/// What this server does. The router and the API's description are made of it.
pub(super) fn operations(settings: &Settings) -> Vec<Operation> {
    let mut operations = room::operations(settings);
    operations.extend(participant::operations());
    operations.extend(track::operations());
    operations.extend(subscribe_rules::operations());
    operations
}

/// The API below `/v1` and its description, to be merged into the server's router. Sets no fallback of
/// its own: what is unknown below `/v1` is a route here.
pub fn router(app: App) -> Router {
    let description = Description::new(&app.settings);
    let router = operations(&app.settings)
        .iter()
        .fold(Router::new(), |router, operation| {
            with_slash(router, operation.path, &operation.route())
        });
    let router = NOT_YET
        .iter()
        .fold(router, |router, &(path, name)| with_slash(router, path, &not_yet(name)));
    let described = get(move |base: BaseUrl| openapi::serve(description.clone(), base));
    router
        .method_not_allowed_fallback(method_not_allowed)
        .route("/v1", any(not_found))
        .route("/v1/", any(not_found))
        .route("/v1/{*path}", any(not_found))
        .route("/openapi.json", described)
        .layer(from_fn_with_state(app.clone(), cors::share))
        .with_state(app)
}

/// What the API has and this server does not (rest.md section 1.5), and how to call it.
pub(super) const NOT_YET: &[(&str, &str)] = &[
    ("/v1/Rooms/{RoomSid}/RecordingRules", "RecordingRules"),
    ("/v1/Rooms/{RoomSid}/Recordings", "Recordings"),
    ("/v1/Rooms/{RoomSid}/Recordings/{Sid}", "Recordings"),
    ("/v1/Rooms/{RoomSid}/Recordings/{Sid}/Media", "Recordings"),
    ("/v1/Rooms/{RoomSid}/Transcriptions", "Transcriptions"),
    ("/v1/Rooms/{RoomSid}/Transcriptions/{Ttid}", "Transcriptions"),
    ("/v1/Recordings", "Recordings"),
    ("/v1/Recordings/{Sid}", "Recordings"),
    ("/v1/Recordings/{Sid}/Media", "Recordings"),
    ("/v1/RecordingSettings/Default", "RecordingSettings"),
    ("/v1/Compositions", "Compositions"),
    ("/v1/Compositions/{Sid}", "Compositions"),
    ("/v1/Compositions/{Sid}/Media", "Compositions"),
    ("/v1/CompositionHooks", "CompositionHooks"),
    ("/v1/CompositionHooks/{Sid}", "CompositionHooks"),
    ("/v1/CompositionSettings/Default", "CompositionSettings"),
];

/// Clients send paths with and without a slash at the end (rest.md section 1.1).
fn with_slash(router: Router<App>, path: &str, methods: &MethodRouter<App>) -> Router<App> {
    router
        .route(path, methods.clone())
        .route(&format!("{path}/"), methods.clone())
}

fn not_yet(name: &'static str) -> MethodRouter<App> {
    let refuse = move |_: Caller| std::future::ready(ApiError::NotYet(name));
    get(refuse).post(refuse).delete(refuse)
}

async fn not_found(_: Caller, path: RequestPath) -> ApiError {
    ApiError::not_found(&path)
}

async fn method_not_allowed(_: Caller) -> ApiError {
    ApiError::MethodNotAllowed
}
