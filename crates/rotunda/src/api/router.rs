//! The table of contents: every path below `/v1`.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};

use super::auth::Caller;
use super::error::ApiError;
use super::path::RequestPath;
use super::{cors, participant, room, subscribe_rules, track};
use crate::app::App;

/// Everything below `/v1`, to be merged into the server's router. Sets no fallback of its own:
/// what is unknown below `/v1` is a route here.
pub fn router(app: App) -> Router {
    let here = [
        ("/v1/Rooms", get(room::list).post(room::create)),
        ("/v1/Rooms/{room}", get(room::fetch).post(room::update)),
        ("/v1/Rooms/{room}/Participants", get(participant::list)),
        (
            "/v1/Rooms/{room}/Participants/{participant}",
            get(participant::fetch).post(participant::update),
        ),
        (
            "/v1/Rooms/{room}/Participants/{participant}/Anonymize",
            post(participant::anonymize),
        ),
        (
            "/v1/Rooms/{room}/Participants/{participant}/PublishedTracks",
            get(track::list_published),
        ),
        (
            "/v1/Rooms/{room}/Participants/{participant}/PublishedTracks/{track}",
            get(track::fetch_published),
        ),
        (
            "/v1/Rooms/{room}/Participants/{participant}/SubscribedTracks",
            get(track::list_subscribed),
        ),
        (
            "/v1/Rooms/{room}/Participants/{participant}/SubscribedTracks/{track}",
            get(track::fetch_subscribed),
        ),
        (
            "/v1/Rooms/{room}/Participants/{participant}/SubscribeRules",
            get(subscribe_rules::fetch).post(subscribe_rules::replace),
        ),
    ];
    let router = here.into_iter().fold(Router::new(), |router, (path, methods)| {
        with_slash(router, path, &methods)
    });
    let router = NOT_YET
        .iter()
        .fold(router, |router, &(path, name)| with_slash(router, path, &not_yet(name)));
    router
        .method_not_allowed_fallback(method_not_allowed)
        .route("/v1", any(not_found))
        .route("/v1/", any(not_found))
        .route("/v1/{*path}", any(not_found))
        .layer(from_fn_with_state(app.clone(), cors::share))
        .with_state(app)
}

/// What the API has and this server does not (rest.md section 1.5), and how to call it.
const NOT_YET: &[(&str, &str)] = &[
    ("/v1/Rooms/{room}/RecordingRules", "RecordingRules"),
    ("/v1/Rooms/{room}/Recordings", "Recordings"),
    ("/v1/Rooms/{room}/Recordings/{recording}", "Recordings"),
    ("/v1/Rooms/{room}/Recordings/{recording}/Media", "Recordings"),
    ("/v1/Rooms/{room}/Transcriptions", "Transcriptions"),
    ("/v1/Rooms/{room}/Transcriptions/{transcription}", "Transcriptions"),
    ("/v1/Recordings", "Recordings"),
    ("/v1/Recordings/{recording}", "Recordings"),
    ("/v1/Recordings/{recording}/Media", "Recordings"),
    ("/v1/RecordingSettings/Default", "RecordingSettings"),
    ("/v1/Compositions", "Compositions"),
    ("/v1/Compositions/{composition}", "Compositions"),
    ("/v1/Compositions/{composition}/Media", "Compositions"),
    ("/v1/CompositionHooks", "CompositionHooks"),
    ("/v1/CompositionHooks/{hook}", "CompositionHooks"),
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
