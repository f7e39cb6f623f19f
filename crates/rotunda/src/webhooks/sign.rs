//! `X-Twilio-Signature`: how a receiver knows who sent a callback (rest.md section 22.6).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The name of the header.
pub(super) const HEADER: &str = "x-twilio-signature";

/// Signs a request with the account's auth token: HMAC-SHA1 over the URL as configured and, of a
/// form body, all names and values, unencoded. The fields of a query are in the URL already.
pub(super) fn signature(auth_token: &str, url: &str, form: &[(&str, String)]) -> String {
    let mut fields: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // Values of a name that occurs several times count once each, in their order.
    fields.sort_unstable();
    fields.dedup();
    let mut mac = hmac::Context::with_key(&hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        auth_token.as_bytes(),
    ));
    mac.update(url.as_bytes());
    for (name, value) in fields {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.sign())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::*;

    #[test]
    fn agrees_with_the_published_vectors() {
        let file: Value = serde_json::from_str(include_str!("../../tests/data/x-twilio-signature.json")).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let fields: Vec<(String, String)> = vector["params"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (text(&pair[0]), text(&pair[1])))
                .collect();
            let form: Vec<(&str, String)> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            let signed = signature(&text(&vector["auth_token"]), &text(&vector["url"]), &form);
            assert_eq!(signed, text(&vector["signature"]), "{}", vector["origin"]);
        }
    }
}
