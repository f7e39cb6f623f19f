//! Lets web pages read the answers (rest.md 26.7): on every answer, errors included.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;

/// Adds the headers, and answers `OPTIONS` itself, without credentials, since browsers send none
/// with it.
pub(super) async fn share(State(app): State<App>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    allow(response.headers_mut(), &app.settings.cors_allow_origins, origin);
    response
}

/// Any origin without credentials, or, where a list of origins is set, these with credentials.
fn allow(headers: &mut HeaderMap, allowed: &[String], origin: Option<HeaderValue>) {
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE, OPTIONS"),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Content-Type, Authorization"),
    );
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Retry-After, WWW-Authenticate"),
    );
    if allowed.is_empty() {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        return;
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()))
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(allowed: &[&str], origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let allowed: Vec<_> = allowed.iter().map(|&origin| origin.to_owned()).collect();
        allow(&mut headers, &allowed, origin.map(HeaderValue::from_static));
        headers
    }

    #[test]
    fn anyone_without_credentials() {
        for origin in [None, Some("https://a.example")] {
            let headers = headers(&[], origin);
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS) && !headers.contains_key(VARY));
        }
    }

    #[test]
    fn listed_origins_with_credentials() {
        let listed = headers(&["https://a.example", "https://b.example"], Some("https://b.example"));
        assert_eq!(listed[ACCESS_CONTROL_ALLOW_ORIGIN], "https://b.example");
        assert_eq!(listed[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        for origin in [
            None,
            Some("https://c.example"),
            Some("https://a.example.org"),
            Some("null"),
        ] {
            let other = headers(&["https://a.example"], origin);
            assert!(!other.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{origin:?}");
            assert_eq!(other[VARY], "Origin");
        }
    }
}
