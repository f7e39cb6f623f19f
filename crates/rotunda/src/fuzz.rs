//! Entry points for fuzzing: texts of strangers that stand for rights or for rows. Not part of the interface.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use room::{AccountSid, ApiKeySid};

use crate::access_token;
pub use crate::api::fuzz::{form, page_token};
use crate::credentials::{Account, ApiKey, Credentials};
use crate::rooms::session;

const ACCOUNT: AccountSid = AccountSid::from_bytes([0xaa; 16]);
const KEY: ApiKeySid = ApiKeySid::from_bytes([0xbb; 16]);
const SECRET: &str = "fedcba9876543210fedcba9876543210";
/// 2017-07-30, when the tokens of the corpus are valid.
const NOW_S: i64 = 1_501_444_800;

/// Verifies a token: the text as it is, and with its last part replaced by a valid signature. The same
/// text as that of a session.
pub fn access_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let credentials = Credentials::new(
        vec![Account {
            sid: ACCOUNT,
            auth_token: SECRET.to_owned(),
        }],
        vec![ApiKey {
            sid: KEY,
            account: ACCOUNT,
            secret: SECRET.to_owned(),
        }],
    );
    assert!(
        access_token::verify(text, &credentials, NOW_S).is_err(),
        "nobody who guesses finds a signature"
    );
    let _session = session::parse(text);
    // Header and claims as JSON, a line each, so that the fuzzer changes them and not their encoding.
    let (header, claims) = text
        .split_once('\n')
        .unwrap_or((r#"{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1"}"#, text));
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    if let Ok(token) = access_token::verify(&token, &credentials, NOW_S) {
        assert_eq!(token.account, ACCOUNT);
        assert!(!token.identity.is_empty() && !token.identity.contains('\0'));
    }
}
