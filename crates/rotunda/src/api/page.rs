//! Pages of lists: what a request asks for, the token that continues a list, and `meta` (rest.md
//! sections 5 and 26).
//!
//! A token carries everything that decides which rows are in the list: the account, the list, the
//! filters as they were given, the status that was in effect, and where the page begins. So a
//! name that is reused or a room that completes in the middle of an iteration changes nothing.
//! The size of the page is not in it: it may differ from page to page.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use protocol::rest::Meta;
use room::{AccountSid, ParticipantSid, RoomSid, Timestamp};
use store::{Page, PageRequest, Position};

use super::base_url::BaseUrl;
use super::error::{ApiError, Fault};
use super::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, PAGE_TOKEN_BYTES_MAX};
use super::params::Params;
use super::path::RequestPath;

/// First byte of a token; another layout gets another number.
const VERSION: u8 = 1;

/// Bytes of the tag behind the version: HMAC-SHA-256.
const TAG_BYTES: usize = 32;

/// Hexadecimal digits of a row's SID.
const SID_DIGITS: usize = 32;

/// What is encoded in the values of a URL: all but the unreserved characters (RFC 3986 section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A list that has pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// The rooms of an account.
    Rooms,
    /// The participants of a room.
    Participants(RoomSid),
    /// What a participant publishes.
    PublishedTracks(ParticipantSid),
    /// What a participant receives.
    SubscribedTracks(ParticipantSid),
}

impl List {
    fn text(self) -> Option<String> {
        match self {
            Self::Rooms => None,
            Self::Participants(room) => Some(room.to_string()),
            Self::PublishedTracks(participant) => Some(format!("published {participant}")),
            Self::SubscribedTracks(participant) => Some(format!("subscribed {participant}")),
        }
    }

    fn read(text: Option<&str>) -> Option<Self> {
        Some(match text.map(|text| text.split_once(' ').ok_or(text)) {
            None => Self::Rooms,
            Some(Err(room)) => Self::Participants(room.parse().ok()?),
            Some(Ok(("published", participant))) => Self::PublishedTracks(participant.parse().ok()?),
            Some(Ok(("subscribed", participant))) => Self::SubscribedTracks(participant.parse().ok()?),
            Some(Ok(_)) => return None,
        })
    }
}

/// Filters as they were given: names and decoded values, in the order of the URLs.
pub(super) type Filters = Vec<(String, String)>;

/// Which part of which list a token continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Whose list.
    pub(super) account: AccountSid,
    /// Which list.
    pub(super) list: List,
    /// As given with the first page.
    pub(super) filters: Filters,
    /// The status in effect, also when none was given.
    pub(super) status: String,
    /// Whether it leads to newer rows.
    pub(super) backwards: bool,
    /// The row behind which the page begins, in the direction it leads.
    pub(super) position: Position,
}

/// A cursor as it is written: account, list ([`List::text`]), filters, status, direction, `created`, SID.
type Wire = (String, Option<String>, Filters, String, bool, i64, String);

impl Cursor {
    /// The token for it.
    pub(super) fn seal(&self, key: &[u8; 32]) -> String {
        let Position { created, sid } = self.position;
        let sid = format!("{:0SID_DIGITS$x}", u128::from_be_bytes(sid));
        let wire: Wire = (
            self.account.to_string(),
            self.list.text(),
            self.filters.clone(),
            self.status.clone(),
            self.backwards,
            created.0,
            sid,
        );
        let body = serde_json::to_vec(&wire).expect("texts, numbers and lists of them are JSON");
        let tag = hmac::sign(&mac(key), &body);
        let mut token = vec![VERSION];
        token.extend_from_slice(tag.as_ref());
        token.extend_from_slice(&body);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What a token stands for; `None` if it was not sealed with this key.
    pub(super) fn open(token: &str, key: &[u8; 32]) -> Option<Self> {
        if token.len() > PAGE_TOKEN_BYTES_MAX {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (&version, sealed) = token.split_first()?;
        let (tag, body) = sealed.split_at_checked(TAG_BYTES)?;
        if version != VERSION || hmac::verify(&mac(key), body, tag).is_err() {
            return None;
        }
        let (account, list, filters, status, backwards, created, sid): Wire = serde_json::from_slice(body).ok()?;
        let list = List::read(list.as_deref())?;
        // As it is written, so that what opens is never longer when it is sealed again.
        let sid = Some(sid).filter(|sid| sid.len() == SID_DIGITS)?;
        let sid = u128::from_str_radix(&sid, 16).ok()?.to_be_bytes();
        let position = Position {
            created: Timestamp(created),
            sid,
        };
        Some(Self {
            account: account.parse().ok()?,
            list,
            filters,
            status,
            backwards,
            position,
        })
    }

    /// Whether the filters that came with the token are those it was made with. Ones that are left
    /// out are taken from the token.
    pub(super) fn agrees_with(&self, given: &Filters) -> bool {
        given.iter().all(|filter| self.filters.contains(filter))
    }
}

fn mac(key: &[u8; 32]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

/// The page that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageQuery {
    /// Rows at most, already cut to the maximum.
    pub(super) size: u32,
    /// The client's counter.
    pub(super) number: i64,
    /// The token as it came, and what it stands for.
    pub(super) cursor: Option<(String, Cursor)>,
}

impl PageQuery {
    /// Reads `PageSize`, `Page` and `PageToken`.
    ///
    /// # Errors
    /// One of the first two is not a number in its range, or the token was not made for this
    /// account.
    pub(super) fn read(params: &Params, key: &[u8; 32], account: AccountSid) -> Result<Self, ApiError> {
        let size = match params.text("PageSize")? {
            None => PAGE_SIZE_DEFAULT,
            Some(text) => page_size(text).ok_or(ApiError::Invalid {
                name: "PageSize",
                why: "it is not 1 or more",
            })?,
        };
        let number = match params.text("Page")? {
            None => 0,
            Some(text) => digits(text)
                .and_then(|digits| digits.parse().ok())
                .ok_or(ApiError::Invalid {
                    name: "Page",
                    why: "it is not 0 or more",
                })?,
        };
        let open = |token: &str| {
            let cursor = Cursor::open(token, key).filter(|cursor| cursor.account == account)?;
            Some((token.to_owned(), cursor))
        };
        let cursor = match params.text("PageToken")? {
            None => None,
            Some(token) => Some(open(token).ok_or(Fault::PageToken)?),
        };
        Ok(Self { size, number, cursor })
    }

    /// What the store is asked for.
    pub(super) fn request(&self) -> PageRequest {
        let cursor = self.cursor.as_ref().map(|(_, cursor)| cursor);
        PageRequest {
            size: self.size,
            from: cursor.map(|cursor| cursor.position),
            backwards: cursor.is_some_and(|cursor| cursor.backwards),
        }
    }
}

fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

/// A number over the maximum is the maximum, however long it is.
fn page_size(text: &str) -> Option<u32> {
    let size = digits(text)?.parse().unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX);
    (size > 0).then_some(size)
}

/// Everything that the URLs of a page are made of.
pub(super) struct PageUrls<'a> {
    /// Where the server is.
    pub(super) base: &'a BaseUrl,
    /// The path as requested.
    pub(super) path: &'a RequestPath,
    /// What was asked for.
    pub(super) query: &'a PageQuery,
    /// The list, for the tokens of its neighbours.
    pub(super) account: AccountSid,
    /// See [`Cursor::list`].
    pub(super) list: List,
    /// See [`Cursor::filters`].
    pub(super) filters: &'a Filters,
    /// See [`Cursor::status`].
    pub(super) status: &'a str,
    /// Seals tokens.
    pub(super) key: &'a [u8; 32],
}

impl PageUrls<'_> {
    /// The `meta` of a page. `position` tells where a row stands.
    pub(super) fn meta<T>(&self, key: &'static str, page: &Page<T>, position: impl Fn(&T) -> Position) -> Meta {
        let number = self.query.number;
        let token = self.query.cursor.as_ref().map(|(token, _)| token.as_str());
        // An empty page has no rows to begin at. It stands where its own token points, and one
        // step further, so that the row there is not left out on the way back.
        let from = self.query.request().from;
        let first = page.rows.first().map(&position).or_else(|| from.map(before));
        let last = page.rows.last().map(&position).or_else(|| from.map(after));
        let next = last.filter(|_| page.has_next);
        let previous = first.filter(|_| page.has_previous);
        Meta {
            page: number,
            page_size: self.query.size,
            first_page_url: self.url(0, None),
            previous_page_url: previous.map(|at| self.url((number - 1).max(0), Some(&self.token(at, true)))),
            url: self.url(number, token),
            next_page_url: next.map(|at| self.url(number.saturating_add(1), Some(&self.token(at, false)))),
            key,
        }
    }

    fn token(&self, position: Position, backwards: bool) -> String {
        let cursor = Cursor {
            account: self.account,
            list: self.list,
            filters: self.filters.clone(),
            status: self.status.to_owned(),
            backwards,
            position,
        };
        cursor.seal(self.key)
    }

    fn url(&self, number: i64, token: Option<&str>) -> String {
        let mut url = self.base.of(self.path.as_str());
        url.push('?');
        for (name, value) in self.filters {
            url.extend([name.as_str(), "="]);
            url.extend(utf8_percent_encode(value, ENCODED));
            url.push('&');
        }
        url.push_str(&format!("PageSize={}&Page={number}", self.query.size));
        if let Some(token) = token {
            url.extend(["&PageToken=", token]);
        }
        url
    }
}

/// The position just older than `position`: a page that leads back from it has the row itself.
fn before(Position { created, sid }: Position) -> Position {
    match u128::from_be_bytes(sid).checked_sub(1) {
        Some(sid) => Position {
            created,
            sid: sid.to_be_bytes(),
        },
        None => Position {
            created: Timestamp(created.0.saturating_sub(1)),
            sid: [0xff; 16],
        },
    }
}

/// The position just newer than `position`.
fn after(Position { created, sid }: Position) -> Position {
    match u128::from_be_bytes(sid).checked_add(1) {
        Some(sid) => Position {
            created,
            sid: sid.to_be_bytes(),
        },
        None => Position {
            created: Timestamp(created.0.saturating_add(1)),
            sid: [0; 16],
        },
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
