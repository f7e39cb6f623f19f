//! Entry points for fuzzing of what requests carry.

use aws_lc_rs::hmac;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use room::AccountSid;

use super::date::Moment;
use super::page::{Cursor, PageQuery};
use super::params::{Form, Params};
use super::room_creation::new_room;
use crate::config::Settings;

const KEY: [u8; 32] = [7; 32];

/// Opens a page token: the text as it is, and its bytes as the inside of a sealed one. What opens is sealed
/// to one that opens to the same.
pub fn page_token(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(Cursor::open(text, &KEY), None, "nobody who guesses finds a seal");
    }
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), bytes);
    let sealed = URL_SAFE_NO_PAD.encode([&[1], tag.as_ref(), bytes].concat());
    if let Some(cursor) = Cursor::open(&sealed, &KEY) {
        assert_eq!(Cursor::open(&cursor.seal(&KEY), &KEY), Some(cursor));
    }
}

/// Reads parameters: of a query if the first byte is even, else of a multipart form with the boundary `b`;
/// then a room, a page and a date from them.
pub fn form(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let params = if kind % 2 == 0 {
        Params::urlencoded(body).ok()
    } else {
        multipart(body)
    };
    let Some(params) = params else { return };
    let account = AccountSid::from_bytes([0xaa; 16]);
    let _page = PageQuery::read(&params, &KEY, account);
    if let Ok(Some(text)) = params.text("DateCreatedAfter") {
        let _moment = Moment::read("DateCreatedAfter", text);
    }
    if let Ok(room) = new_room(&params, &Settings::ephemeral().rooms) {
        assert!(room.max_participants >= 1);
        assert!(
            room.unique_name
                .is_none_or(|name| !name.is_empty() && name.chars().count() <= 128)
        );
    }
}

fn multipart(body: &[u8]) -> Option<Params> {
    let mut request = Request::new(Body::from(body.to_vec()));
    let kind = "multipart/form-data; boundary=b".parse().expect("a header");
    request.headers_mut().insert(CONTENT_TYPE, kind);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .ok()?;
    let form = runtime.block_on(Form::from_request(request, &()));
    form.ok().map(|Form(params)| params)
}
