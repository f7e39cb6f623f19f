//! Seeded mutations of what clients send, and a count of what was sent: the same seed, the same attacks.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// Dice whose throws follow from their seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The dice of `HOSTILE_SEED`, else of 1, and the seed. A run that fails is repeated by the variable.
    pub fn from_environment() -> (Self, u64) {
        let seed = number_from_environment("HOSTILE_SEED").unwrap_or(1);
        (Self::new(seed), seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.any() % end.max(1) as u64) as usize
    }

    /// One of several.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let index = self.below(from.len());
        from.get(index)
    }

    /// Bytes that are like these: flipped, cut, doubled, filled, or with another length in them.
    pub fn bytes(&mut self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let to = (at + 1 + self.below(16)).min(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_slice(&original[..original.len().min(1 + at)]),
                2 => bytes[at..to].fill(0xff),
                3 => bytes[at..to].fill(0),
                4 => drop(bytes.drain(at..to)),
                // Where lengths are: in front.
                5 if bytes.len() > 4 => {
                    let field = 2 * self.below(bytes.len().min(16) / 2);
                    bytes[field..field + 2].copy_from_slice(&(self.any() as u16).to_be_bytes());
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        bytes
    }

    /// Text that is like this one, by bytes or by lines.
    pub fn text(&mut self, original: &str) -> String {
        if self.below(2) == 0 {
            let bytes = self.bytes(original.as_bytes());
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        let mut lines: Vec<String> = original.split('\n').map(str::to_owned).collect();
        for _ in 0..=self.below(4) {
            let (one, other) = (self.below(lines.len()), self.below(lines.len()));
            match self.below(5) {
                0 if lines.len() > 1 => drop(lines.remove(one)),
                1 => lines.push(lines[one].clone()),
                2 => lines.swap(one, other),
                3 => lines[one] = self.with_another_number(&lines[one].clone()),
                _ => lines[one] = String::from_utf8_lossy(&self.bytes(lines[other].clone().as_bytes())).into_owned(),
            }
        }
        lines.join("\n")
    }

    /// JSON that is like this: with something left out, doubled, or of another kind or size.
    pub fn json(&mut self, original: &Value) -> Value {
        let mut value = original.clone();
        for _ in 0..=self.below(3) {
            self.change_somewhere(&mut value);
        }
        value
    }

    fn change_somewhere(&mut self, value: &mut Value) {
        let deeper = self.below(4) != 0;
        match value {
            Value::Object(members) if deeper && !members.is_empty() => {
                let at = self.below(members.len());
                let name = members.keys().nth(at).cloned().unwrap_or_default();
                match self.below(5) {
                    0 => drop(members.remove(&name)),
                    1 => {
                        let copy = members[&name].clone();
                        members.insert(self.text(&name), copy);
                    }
                    _ => self.change_somewhere(&mut members[&name]),
                }
            }
            Value::Array(items) if deeper && !items.is_empty() => {
                let at = self.below(items.len());
                match self.below(5) {
                    0 => drop(items.remove(at)),
                    1 => {
                        let copy = items[at].clone();
                        let many = self.below(300);
                        items.extend(std::iter::repeat_n(copy, many));
                    }
                    _ => self.change_somewhere(&mut items[at]),
                }
            }
            Value::String(text) if deeper => *text = self.text(&text.clone()),
            other => *other = self.strange(),
        }
    }

    fn strange(&mut self) -> Value {
        match self.below(11) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(u64::MAX),
            4 => json!(1.5e300),
            5 => json!(""),
            6 => json!("x".repeat(70_000)),
            7 => json!("\u{0}\u{202e}\u{ffff}"),
            8 => json!([]),
            9 => json!({}),
            _ => (0..100).fold(json!(0), |inner, _| json!([inner])),
        }
    }

    fn with_another_number(&mut self, line: &str) -> String {
        let is_digit = |c: char| c.is_ascii_digit();
        let start = line.find(is_digit).unwrap_or(line.len());
        let rest = line[start..].trim_start_matches(is_digit);
        format!("{}{}{rest}", &line[..start], self.any() >> self.below(64))
    }
}

/// A number in an environment variable; `None` if it is not there or none.
pub fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How often each kind of attack was made.
#[derive(Debug, Clone, Default)]
pub struct Attacks(BTreeMap<&'static str, u64>);

impl Attacks {
    /// One more of this kind.
    pub fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// Those of another.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// Of all kinds.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Of how many kinds.
    pub fn kinds(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Attacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.0 {
            writeln!(f, "{count:>8}  {kind}")?;
        }
        write!(f, "{:>8}  in all", self.total())
    }
}
