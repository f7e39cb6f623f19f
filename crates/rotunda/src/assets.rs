//! The page, embedded in the binary.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

/// What `npm run build` made of `web/`. Read from disk by debug builds, so that a change of the page
/// needs no new server.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Assets;

/// Where the page's head takes what the server says.
const HEAD: &str = "<!--rotunda:head-->";

const NOT_BUILT: &str = "The page was not built into this program.\n\
    Build it with `npm ci && npm run build` in web/, then build the program again; `.ci/build` does both.\n\
    REST (/v1) and signaling (/signaling) work without it.\n";

/// What the page may do: load from here, talk to here and to a signaling server elsewhere, and use
/// camera and microphone.
const SECURITY: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob:; \
             style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(self), microphone=(self), display-capture=(self)"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Serves the page for every path that nothing else serves. `dev_credentials` (`AC…:SK…:secret`) are
/// put into it: only for development.
pub fn router(dev_credentials: Option<String>) -> Router {
    let head: Arc<str> = dev_credentials
        .map_or_else(String::new, |credentials| meta(&credentials))
        .into();
    Router::new().fallback(move |request: Request| {
        let response = serve(request.method(), request.uri().path(), request.headers(), &head);
        async move { response }
    })
}

fn meta(credentials: &str) -> String {
    let escaped = credentials
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;");
    format!("<meta name=\"rotunda-dev-credentials\" content=\"{escaped}\">")
}

fn serve(method: &Method, path: &str, request: &HeaderMap, head: &str) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let mut response = match path {
        "/" | "/index.html" => index(head),
        _ => file(&path[1..], request),
    };
    response.headers_mut().extend(SECURITY);
    response
}

fn index(head: &str) -> Response {
    let Some(file) = Assets::get("index.html") else {
        return (StatusCode::NOT_FOUND, NOT_BUILT).into_response();
    };
    let html = String::from_utf8_lossy(&file.data).replace(HEAD, head);
    (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        html,
    )
        .into_response()
}

fn file(name: &str, request: &HeaderMap) -> Response {
    let Some(file) = Assets::get(name) else {
        return (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response();
    };
    // Vite puts a hash of the content into the names of what it bundles.
    let cache = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let tag: String = file
        .metadata
        .sha256_hash()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("\"{tag}\"");
    let headers = [
        (header::CONTENT_TYPE, content_type(name).to_owned()),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::ETAG, tag.clone()),
    ];
    if request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.data.into_owned()).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}
