//! One attempt to deliver one callback.

use protocol::callback::{self, Callback};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use store::{CallbackMethod, DueCallback};

use super::sign;
use crate::limits;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// A client that follows no redirect: the receiver that was configured is the one that is told.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    let name = HeaderValue::from_static(concat!("rotunda/", env!("CARGO_PKG_VERSION")));
    Client::builder()
        .default_headers(HeaderMap::from_iter([(USER_AGENT, name)]))
        .redirect(Policy::none())
        .timeout(limits::CALLBACK_TIME_MAX)
        .build()
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
    match due.method {
        CallbackMethod::Post => Message {
            method: Method::POST,
            url: url.to_owned(),
            body: Some(callback::encode(&fields)),
            signature: sign::signature(auth_token, url, &fields),
        },
        CallbackMethod::Get => {
            let joint = if url.contains('?') { '&' } else { '?' };
            let url = format!("{url}{joint}{}", callback::encode(&fields));
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

/// Sends it. The status of the answer, or a short error.
pub(super) async fn send(client: &Client, message: Message) -> Result<u16, String> {
    let url = Url::parse(&message.url).map_err(|error| short(format!("the URL cannot be used: {error}")))?;
    let mut request = client
        .request(message.method, url)
        .header(sign::HEADER, message.signature);
    if let Some(body) = message.body {
        request = request.header(CONTENT_TYPE, FORM).body(body);
    }
    match request.send().await {
        // The body is of no interest; dropping it unread bounds what a receiver can send.
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) if error.is_timeout() => Err(format!("no answer within {} s", limits::CALLBACK_TIME_MAX.as_secs())),
        Err(error) => Err(short(last_cause(&error))),
    }
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
    use room::{AccountSid, EventKind, RoomSid, RoomType, Timestamp};

    use super::*;

    fn due(method: CallbackMethod, url: &str) -> DueCallback {
        DueCallback {
            id: 1,
            attempts: 0,
            url: url.to_owned(),
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
