//! Parameters of a request: names and values of a query or a form (rest.md sections 1.2 and 26.6).

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Multipart, Request};
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use percent_encoding::percent_decode;

use super::error::ApiError;
use super::limits::{BODY_BYTES_MAX, BODY_TIME_MAX, PARAMETERS_MAX, QUERY_BYTES_MAX};

/// Parameters in the order they came. Names are case-sensitive, unknown ones are never looked at.
#[derive(Debug, Default)]
pub(super) struct Params {
    given: Vec<(String, Value)>,
    declared: Option<Declared>,
}

/// The names that an operation's description has; known in debug builds alone.
#[derive(Debug, Clone)]
pub(super) struct Declared(pub(super) Arc<[&'static str]>);

/// A value: `None` if it is no text, because it is not UTF-8 or contains U+0000.
type Value = Option<String>;

impl Params {
    /// Reads `a=1&b=2`, percent-encoded, with `+` for a space.
    ///
    /// # Errors
    /// There are more than [`PARAMETERS_MAX`].
    pub(super) fn urlencoded(encoded: &[u8]) -> Result<Self, ApiError> {
        let mut params = Self::default();
        for pair in encoded.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            if let Ok(name) = String::from_utf8(decode(name)) {
                params.push(name, decode(value))?;
            }
        }
        Ok(params)
    }

    fn push(&mut self, name: String, value: Vec<u8>) -> Result<(), ApiError> {
        if self.given.len() >= PARAMETERS_MAX {
            return Err(ApiError::Malformed("it has too many parameters"));
        }
        let text = String::from_utf8(value).ok().filter(|text| !text.contains('\0'));
        self.given.push((name, text));
        Ok(())
    }

    /// A value; the last one, if there are several. Empty counts as absent.
    ///
    /// # Errors
    /// It is no text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, ApiError> {
        self.check_declared(name);
        match self.given.iter().rev().find(|(given, _)| given == name) {
            None => Ok(None),
            Some((_, Some(text))) => Ok(Some(&**text).filter(|text| !text.is_empty())),
            Some((_, None)) => Err(ApiError::Invalid {
                name,
                why: "it is not UTF-8, or contains U+0000",
            }),
        }
    }

    /// All values of a list, in order, without empty ones.
    ///
    /// # Errors
    /// One is no text.
    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<&str>, ApiError> {
        self.check_declared(name);
        let values = self.given.iter().filter(|(given, _)| given == name);
        let texts = values.map(|(_, value)| {
            value.as_deref().ok_or(ApiError::Invalid {
                name,
                why: "it is not UTF-8, or contains U+0000",
            })
        });
        texts.filter(|text| !matches!(text, Ok(""))).collect()
    }

    fn check_declared(&self, name: &str) {
        debug_assert!(
            self.declared.as_ref().is_none_or(|declared| declared.0.contains(&name)),
            "the operation reads {name}, which its description does not have"
        );
    }

    /// A boolean; absent is false.
    ///
    /// # Errors
    /// It is neither `true` nor `false`.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.text(name)? {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(ApiError::Invalid {
                name,
                why: "it is neither true nor false",
            }),
        }
    }
}

fn decode(encoded: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = encoded
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    percent_decode(&spaced).collect()
}

/// The parameters of the URL.
pub(super) struct Query(pub(super) Params);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(ApiError::Malformed("its query is too long"));
        }
        let mut params = Params::urlencoded(query.as_bytes())?;
        params.declared = parts.extensions.get().cloned();
        Ok(Self(params))
    }
}

/// The parameters of the body, in either kind of form.
pub(super) struct Form(pub(super) Params);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await;
        let body = body.map_err(|_| ApiError::Slow)?.map_err(|_| ApiError::TooLarge)?;
        let content_type = parts.headers.get(CONTENT_TYPE);
        let mut params = match essence(&parts.headers) {
            "application/x-www-form-urlencoded" => Params::urlencoded(&body)?,
            "multipart/form-data" => multipart(content_type, body).await?,
            _ if body.is_empty() => Params::default(),
            "" => Params::urlencoded(&body)?,
            _ => return Err(ApiError::MediaType),
        };
        params.declared = parts.extensions.get().cloned();
        Ok(Self(params))
    }
}

/// The media type without its parameters; empty if there is none.
fn essence(headers: &HeaderMap) -> &str {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    // The two known types are compared in any case of letters.
    ["application/x-www-form-urlencoded", "multipart/form-data"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(essence))
        .unwrap_or(essence)
}

async fn multipart(content_type: Option<&HeaderValue>, body: Bytes) -> Result<Params, ApiError> {
    const BROKEN: ApiError = ApiError::Malformed("its multipart form is broken");
    let mut request = Request::new(Body::from(body));
    request
        .headers_mut()
        .extend(content_type.map(|value| (CONTENT_TYPE, value.clone())));
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| BROKEN)?;
    let mut params = Params::default();
    while let Some(field) = form.next_field().await.map_err(|_| BROKEN)? {
        let name = field.name().map(str::to_owned);
        let value = field.bytes().await.map_err(|_| BROKEN)?;
        if let Some(name) = name {
            params.push(name, value.to_vec())?;
        }
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn params(encoded: &str) -> Params {
        Params::urlencoded(encoded.as_bytes()).expect("not too many")
    }

    #[test]
    fn decodes_and_takes_the_last() {
        let params = params("Identity=a&&x&Identity=b+c%2B%C3%A9&Empty=&%53tatus=connected=1");
        assert_eq!(params.text("Identity").expect("text"), Some("b c+é"));
        assert_eq!(params.text("Status").expect("text"), Some("connected=1"));
        assert_eq!(params.text("Empty").expect("text"), None);
        assert_eq!(params.text("x").expect("text"), None);
        assert_eq!(params.text("identity").expect("text"), None);
    }

    #[test]
    fn lists_are_repeated_names() {
        let codecs = params("VideoCodecs=VP8&a=b&VideoCodecs=&VideoCodecs=H264");
        assert_eq!(codecs.texts("VideoCodecs").expect("texts"), ["VP8", "H264"]);
        assert!(codecs.texts("AudioSources").expect("texts").is_empty());
        assert!(params("VideoCodecs=%FF").texts("VideoCodecs").is_err());
    }

    #[test]
    fn what_is_no_text_is_an_error_where_it_is_asked_for() {
        let params = params("Identity=%FF&UniqueName=a%00b&%FF=x");
        assert!(matches!(
            params.text("Identity"),
            Err(ApiError::Invalid { name: "Identity", .. })
        ));
        assert!(matches!(params.text("UniqueName"), Err(ApiError::Invalid { .. })));
        assert_eq!(params.text("Status").expect("absent"), None);
    }

    #[test]
    fn flags() {
        let params = params("a=true&b=false&c=True&d=&e=1");
        let expected = [Some(true), Some(false), Some(true), Some(false), None, Some(false)];
        assert_eq!(
            ["a", "b", "c", "d", "e", "f"].map(|name| params.flag(name).ok()),
            expected
        );
    }

    #[test]
    fn bounded() {
        assert!(Params::urlencoded("a&".repeat(PARAMETERS_MAX).as_bytes()).is_ok());
        assert!(matches!(
            Params::urlencoded("a&".repeat(PARAMETERS_MAX + 1).as_bytes()),
            Err(ApiError::Malformed(_))
        ));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(params) = Params::urlencoded(&bytes) {
                params.text("a").ok();
            }
        }
    }
}
