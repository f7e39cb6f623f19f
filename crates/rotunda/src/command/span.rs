//! Spans of time on the command line: `90s`, `30m`, `4h`, `1d`, or a number of seconds.

/// Seconds of a span; `None` if it is none.
pub(super) fn span_s(text: &str) -> Option<u64> {
    let (number, unit_s) = match text.char_indices().next_back()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        (at, 'd') => (&text[..at], 86_400),
        _ => (text, 1),
    };
    // `parse` would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    u64::from(number.parse::<u32>().ok()?).checked_mul(unit_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_spans() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("30m", 1800),
            ("4h", 14_400),
            ("1d", 86_400),
            ("3600", 3600),
        ] {
            assert_eq!(span_s(text), Some(seconds), "{text}");
        }
        for text in ["", "h", "-1h", "+1h", "4 h", "4hours", "99999999999d", "é"] {
            assert_eq!(span_s(text), None, "{text}");
        }
    }
}
