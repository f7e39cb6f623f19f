//! One attempt to deliver one callback, redirects included.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use protocol::callback::{self, Callback};
use reqwest::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, Url};
use room::AccountSid;
use store::{CallbackMethod, DueCallback};
use url::Host;

use super::address::AddressRule;
use super::lookups::{ACCOUNT, Lookups};
use super::resolver::{GuardedResolver, Lookup, Refused};
use super::sign;
use crate::limits;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// With an HTTP status; what the header `Retry-After` said.
    Status { status: u16, retry_after: Option<String> },
    /// Without an answer, for now; a short error.
    Failed(String),
    /// It can never be asked; a short error.
    Impossible(String),
}

/// Sends callbacks, to addresses that they may go to; cheap to clone.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client,
    rule: Arc<AddressRule>,
}

/// The request of a callback, before it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    method: Method,
    url: String,
    body: Option<String>,
    signature: String,
}

/// Renders and signs.
pub(super) fn message(due: &DueCallback, auth_token: &str) -> Message {
    let fields = Callback {
        account: due.account,
        room: due.room,
        room_name: due.room_name.clone(),
        room_type: due.room_type,
        event: due.event,
        sequence: due.sequence,
        at: due.at,
        duration_s: due.duration_s,
        participant: due.participant.clone(),
        track: due.track,
    }
    .fields();
    // A fragment is no part of a request, so receivers do not know it.
    let url = due.url.split('#').next().unwrap_or_default();
    let url = with_path(url);
    let url = url.as_ref();
    match due.method {
        CallbackMethod::Post => Message {
            method: Method::POST,
            url: url.to_owned(),
            body: Some(callback::encode(&fields)),
            signature: sign::signature(auth_token, url, &fields),
        },
        CallbackMethod::Get => {
            let url = with_query(url, &callback::encode(&fields));
            let signature = sign::signature(auth_token, &url, &[]);
            Message {
                method: Method::GET,
                url,
                body: None,
                signature,
            }
        }
    }
}

impl Sender {
    /// A client that obeys no proxy of the environment: the addresses that are checked are those of the receivers.
    pub(super) fn new(rule: Arc<AddressRule>, lookup: Lookup) -> Result<Self, reqwest::Error> {
        let name = HeaderValue::from_static(concat!("rotunda/", env!("CARGO_PKG_VERSION")));
        let resolver = GuardedResolver {
            rule: Arc::clone(&rule),
            lookups: Arc::new(Lookups::new(lookup)),
        };
        let client = Client::builder()
            .default_headers(HeaderMap::from_iter([(USER_AGENT, name)]))
            // Followed below, since each step is checked and keeps the fields.
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .dns_resolver(Arc::new(resolver))
            .connect_timeout(limits::CALLBACK_CONNECT_TIME_MAX)
            .pool_max_idle_per_host(limits::CALLBACKS_PER_RECEIVER_MAX)
            .pool_idle_timeout(limits::CALLBACK_IDLE_TIME_MAX)
            .build()?;
        Ok(Self { client, rule })
    }

    /// Sends it for this account, and keeps the connection for the next one if so asked.
    pub(super) async fn send(&self, account: AccountSid, message: Message, keeps: bool) -> Answer {
        let follow = ACCOUNT.scope(account, self.follow(message, keeps));
        let answered = tokio::time::timeout(limits::CALLBACK_TIME_MAX, follow).await;
        let late = || format!("no answer within {} s", limits::CALLBACK_TIME_MAX.as_secs());
        answered.unwrap_or_else(|_| Answer::Failed(late()))
    }

    async fn follow(&self, message: Message, keeps: bool) -> Answer {
        let mut hop = match Url::parse(&message.url) {
            Ok(url) => Hop {
                method: message.method,
                url,
                body: message.body,
            },
            Err(error) => return Answer::Impossible(short(format!("the URL cannot be used: {error}"))),
        };
        for _ in 0..=limits::CALLBACK_REDIRECTS_MAX {
            let response = match self.ask(&hop, &message.signature, keeps).await {
                Ok(response) => response,
                Err(answer) => return answer,
            };
            match hop.next(&response) {
                Ok(Some(next)) => hop = next,
                Ok(None) => return self.end(response).await,
                Err(error) => return Answer::Impossible(short(error)),
            }
        }
        Answer::Impossible(format!("more than {} redirects", limits::CALLBACK_REDIRECTS_MAX))
    }

    async fn ask(&self, hop: &Hop, signature: &str, keeps: bool) -> Result<Response, Answer> {
        // Names are checked by the resolver; an address in the URL never gets there.
        let literal: Option<IpAddr> = match hop.url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        if let Some(ip) = literal {
            let host = ip.to_string();
            let refused = |kind| Answer::Impossible(short(Refused { host, ip, kind }.to_string()));
            self.rule.check(None, ip).map_err(refused)?;
        }
        let mut request = self
            .client
            .request(hop.method.clone(), hop.url.clone())
            .header(sign::HEADER, signature);
        if let Some(body) = &hop.body {
            request = request.header(CONTENT_TYPE, FORM).body(body.clone());
        }
        if !keeps {
            request = request.header(CONNECTION, "close");
        }
        request.send().await.map_err(|error| {
            if error.is_timeout() {
                Answer::Failed(format!(
                    "no connection within {} s",
                    limits::CALLBACK_CONNECT_TIME_MAX.as_secs()
                ))
            } else if error.is_builder() {
                Answer::Impossible(short(format!("the URL cannot be used: {}", last_cause(&error))))
            } else {
                Answer::Failed(short(last_cause(&error)))
            }
        })
    }

    /// The status counts. A short body is read to its end, so that the connection can be used again; it is of no interest.
    async fn end(&self, mut response: Response) -> Answer {
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok());
        let answer = Answer::Status {
            status: response.status().as_u16(),
            retry_after: retry_after.map(|text| text.chars().take(limits::CALLBACK_ERROR_LEN_MAX).collect()),
        };
        let read = async {
            let mut bytes = 0;
            while let Ok(Some(chunk)) = response.chunk().await {
                bytes += chunk.len();
                if bytes > limits::CALLBACK_ANSWER_BYTES_MAX {
                    break;
                }
            }
        };
        // What takes longer is cut off with its connection.
        tokio::time::timeout(limits::CALLBACK_ANSWER_TIME_MAX, read).await.ok();
        answer
    }
}

/// One request of an attempt: the first, or where a redirect led.
struct Hop {
    method: Method,
    url: Url,
    body: Option<String>,
}

impl Hop {
    fn next(&self, response: &Response) -> Result<Option<Self>, String> {
        let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
        let (status, location) = match (response.status().as_u16(), location) {
            (status @ (301 | 302 | 303 | 307 | 308), Some(location)) => (status, location),
            _ => return Ok(None),
        };
        let location = std::str::from_utf8(location).map_err(|_| "a redirect to no URL".to_owned())?;
        self.redirected(status, location).map(Some)
    }

    /// With 307 and 308 the same request goes elsewhere. With the others it becomes a GET, as everywhere; then its
    /// fields go into the query, since a receiver that hears of an event and not of which has lost it.
    fn redirected(&self, status: u16, location: &str) -> Result<Self, String> {
        let mut url = self
            .url
            .join(location)
            .map_err(|error| format!("a redirect to no URL: {error}"))?;
        url.set_fragment(None);
        match (self.url.scheme(), url.scheme()) {
            ("http", "http" | "https") | ("https", "https") => {}
            (from, to) => return Err(format!("a redirect from {from} to {to}")),
        }
        let becomes_get = matches!(status, 301..=303) && self.method != Method::GET;
        let (method, body) = if becomes_get {
            if let Some(fields) = &self.body {
                url = Url::parse(&with_query(url.as_str(), fields)).map_err(|error| error.to_string())?;
            }
            (Method::GET, None)
        } else {
            (self.method.clone(), self.body.clone())
        };
        Ok(Self { method, url, body })
    }
}

/// What has no path is asked for `/`, and that is what receivers see.
fn with_path(url: &str) -> Cow<'_, str> {
    let authority = url.find("://").map_or(0, |at| at + 3);
    match url[authority..].find(['/', '?', '\\']) {
        Some(at) if !url[authority + at..].starts_with('?') => url.into(),
        Some(at) => {
            let (origin, query) = url.split_at(authority + at);
            format!("{origin}/{query}").into()
        }
        None => format!("{url}/").into(),
    }
}

fn with_query(url: &str, fields: &str) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{fields}")
}

/// What really failed: the outer errors repeat the URL, which may hold secrets.
fn last_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

fn short(text: String) -> String {
    text.chars().take(limits::CALLBACK_ERROR_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use room::{EventKind, RoomSid, RoomType, Timestamp};

    use super::*;

    fn due(method: CallbackMethod, url: &str) -> DueCallback {
        DueCallback {
            id: 1,
            attempts: 0,
            url: url.to_owned(),
            receiver: store::receiver_of(url),
            method,
            account: AccountSid::from_bytes([1; 16]),
            room: RoomSid::from_bytes([2; 16]),
            room_name: "daily".to_owned(),
            room_type: RoomType::Group,
            event: EventKind::RoomCreated,
            sequence: 0,
            at: Timestamp(0),
            duration_s: None,
            participant: None,
            track: None,
        }
    }

    const FIELDS: &str = "RoomStatus=in-progress&RoomType=group&RoomSid=RM02020202020202020202020202020202&RoomName=daily&SequenceNumber=0\
        &StatusCallbackEvent=room-created&Timestamp=1970-01-01T00%3A00%3A00.000Z&AccountSid=AC01010101010101010101010101010101";

    #[test]
    fn post_has_the_fields_in_the_body() {
        let message = message(
            &due(CallbackMethod::Post, "https://hooks.example.com/rooms?tenant=7#rc=2"),
            "token",
        );
        assert_eq!(message.method, Method::POST);
        assert_eq!(message.url, "https://hooks.example.com/rooms?tenant=7");
        assert_eq!(message.body.as_deref(), Some(FIELDS));
    }

    #[test]
    fn a_url_without_a_path_is_signed_as_it_is_asked() {
        for (url, asked) in [
            ("https://a.example", "https://a.example/"),
            ("https://a.example:8443?t=7", "https://a.example:8443/?t=7"),
            ("https://a.example/", "https://a.example/"),
            ("https://a.example/hook?u=/x", "https://a.example/hook?u=/x"),
            ("https://a.example?u=http://b/", "https://a.example/?u=http://b/"),
        ] {
            assert_eq!(with_path(url), asked);
            assert_eq!(Url::parse(url).expect("a URL").as_str(), asked);
        }
    }

    #[test]
    fn redirects_keep_the_request_or_its_fields() {
        let hop = |method: Method, url: &str, body: Option<&str>| Hop {
            method,
            url: Url::parse(url).expect("a URL"),
            body: body.map(str::to_owned),
        };
        let followed = |hop: Hop, status, location| {
            let next = hop.redirected(status, location)?;
            Ok::<_, String>((next.method, next.url.to_string(), next.body))
        };
        let post = || hop(Method::POST, "http://a.example/hook?t=7", Some("A=1&B=x%20y"));
        let body = Some("A=1&B=x%20y".to_owned());
        for status in [307, 308] {
            let next = followed(post(), status, "https://b.example/there#part");
            assert_eq!(
                next,
                Ok((Method::POST, "https://b.example/there".to_owned(), body.clone()))
            );
        }
        for status in [301, 302, 303] {
            let next = followed(post(), status, "/there?u=8");
            let url = "http://a.example/there?u=8&A=1&B=x%20y".to_owned();
            assert_eq!(next, Ok((Method::GET, url, None)), "{status}");
        }
        let get = hop(Method::GET, "http://a.example/hook?A=1", None);
        let next = followed(get, 302, "https://b.example/hook?A=1");
        assert_eq!(next, Ok((Method::GET, "https://b.example/hook?A=1".to_owned(), None)));
        let secure = || hop(Method::POST, "https://a.example/", Some("A=1"));
        assert!(followed(secure(), 307, "http://a.example/").is_err());
        assert!(followed(secure(), 307, "file:///etc/passwd").is_err());
        assert!(followed(post(), 307, "http://[::1").is_err());
    }

    #[test]
    fn get_has_the_fields_in_the_query_and_signs_that() {
        for (url, joint) in [
            ("https://hooks.example.com/rooms?tenant=7", '&'),
            ("https://hooks.example.com/rooms", '?'),
        ] {
            let message = message(&due(CallbackMethod::Get, url), "token");
            let expected = format!("{url}{joint}{FIELDS}");
            assert_eq!((message.method, message.body), (Method::GET, None));
            assert_eq!(message.signature, sign::signature("token", &expected, &[]));
            assert_eq!(message.url, expected);
        }
    }
}
