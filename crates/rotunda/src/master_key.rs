//! The master key: seals the secrets of accounts and API keys, so that a copy of the database alone betrays none.
//!
//! Sealed is `1 | nonce (12 bytes) | ciphertext | tag (16 bytes)` by AES-256-GCM with a random nonce. What is
//! authenticated with it names the kind and the SID, so that a secret cannot be moved to another row.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use store::{SecretOf, SqliteStore, StoreError};
use zeroize::Zeroizing;

/// The name of the key's file in the data directory.
pub const FILE: &str = "master.key";

/// Bytes of a key.
const LEN: usize = 32;

/// How a sealed secret of this form begins.
const FORM: u8 = 1;

/// The master key; cheap to clone. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct MasterKey(Arc<RandomizedNonceKey>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Why secrets cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The database is sealed, and nobody gave its key.
    #[error("the secrets in the database are sealed, and there is no master key: {} is missing", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The key belongs to other secrets.
    #[error("the master key is not the one of this database: it does not open the secret of {sid}")]
    Wrong {
        /// Whose secret was tried.
        sid: String,
    },
    /// The key's file is there and cannot be read.
    #[error("the master key file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The key's file holds something else.
    #[error("the file {} holds no master key, which is 64 hexadecimal digits or 32 bytes as base64", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// A new key cannot be kept.
    #[error("a master key cannot be written to {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The cryptographic library or the random source failed.
    #[error("the cryptographic library failed")]
    Crypto,
    /// The database could not be looked at.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MasterKeyError {
    /// What to do next, as the second half of a sentence.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } | Self::Wrong { .. } => Some(
                "give the key that was kept beside the database or its backup, as that file or with ROTUNDA_MASTER_KEY_FILE; \
                 without it the database's secrets are lost",
            ),
            Self::Unreadable { .. } => Some("run this as the user of the server"),
            Self::Malformed { .. } => Some("put the key back from where it is kept"),
            Self::Unwritable { .. } => {
                Some("name a directory that can be written with --data-dir, or give a key with ROTUNDA_MASTER_KEY_FILE")
            }
            Self::Crypto | Self::Store(_) => None,
        }
    }
}

impl MasterKey {
    /// Reads a key as people write it: 64 hexadecimal digits, or 32 bytes as base64 of any usual kind.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = Zeroizing::new(hex(text).or_else(|| base64(text))?);
        Self::of(bytes.as_slice()).ok()
    }

    /// A key that nobody knows and that is gone with the process.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random() -> Result<Self, MasterKeyError> {
        Self::of(&*fresh()?)
    }

    /// The key that is kept in the directory, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(directory: &Path) -> Result<Option<Self>, MasterKeyError> {
        let path = directory.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map(Some).ok_or(MasterKeyError::Malformed { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(MasterKeyError::Unreadable { path, source }),
        }
    }

    /// The key of the database in this file: the one that was given, else the one that is kept beside it.
    ///
    /// # Errors
    /// [`MasterKeyError::Missing`] if the database is sealed and there is neither.
    pub fn of_database(given: Option<&Self>, database: &Path) -> Result<Option<Self>, MasterKeyError> {
        let directory = database.parent().unwrap_or(Path::new("."));
        Self::kept_in(directory, given, || {
            Ok(database.is_file() && SqliteStore::has_sealed_secrets(database)?)
        })
    }

    /// The key that was given, else the one that is kept in the directory of a database, wherever that is itself.
    ///
    /// # Errors
    /// [`MasterKeyError::Missing`] if the database is sealed and there is neither.
    pub fn kept_in(
        directory: &Path,
        given: Option<&Self>,
        is_sealed: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<Option<Self>, MasterKeyError> {
        if let Some(key) = given {
            return Ok(Some(key.clone()));
        }
        if let Some(key) = Self::read(directory)? {
            return Ok(Some(key));
        }
        if is_sealed()? {
            let path = directory.join(FILE);
            return Err(MasterKeyError::Missing { path });
        }
        Ok(None)
    }

    /// Makes a key and keeps it in the directory, readable for its owner alone. It is durable when this returns.
    ///
    /// # Errors
    /// It cannot be written, or is there already.
    pub fn make(directory: &Path) -> Result<Self, MasterKeyError> {
        let path = directory.join(FILE);
        let bytes = fresh()?;
        let write = || {
            let mut file = tempfile::Builder::new().prefix(".master-key-").tempfile_in(directory)?;
            let digits: Zeroizing<String> = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
            writeln!(file, "{}", digits.as_str())?;
            file.as_file().sync_all()?;
            file.persist_noclobber(&path)?;
            std::fs::File::open(directory)?.sync_all()
        };
        write().map_err(|source| MasterKeyError::Unwritable {
            path: path.clone(),
            source,
        })?;
        Self::of(&*bytes)
    }

    /// Seals a secret.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn seal(&self, of: SecretOf, text: &str) -> Result<Vec<u8>, MasterKeyError> {
        let mut in_out = text.as_bytes().to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(name(of)), &mut in_out);
        let nonce = nonce.map_err(|_| MasterKeyError::Crypto)?;
        Ok([[FORM].as_slice(), nonce.as_ref().as_slice(), in_out.as_slice()].concat())
    }

    /// Opens what [`MasterKey::seal`] made of the same account's or key's secret.
    ///
    /// # Errors
    /// [`MasterKeyError::Wrong`] for anything else.
    pub fn open(&self, of: SecretOf, sealed: &[u8]) -> Result<Zeroizing<String>, MasterKeyError> {
        let open = || {
            let (nonce, rest) = sealed.strip_prefix(&[FORM])?.split_at_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut in_out = Zeroizing::new(rest.to_vec());
            let text = self.0.open_in_place(nonce, Aad::from(name(of)), &mut in_out).ok()?;
            Some(Zeroizing::new(std::str::from_utf8(text).ok()?.to_owned()))
        };
        open().ok_or_else(|| MasterKeyError::Wrong {
            sid: match of {
                SecretOf::Account(sid) => sid.to_string(),
                SecretOf::ApiKey(sid) => sid.to_string(),
            },
        })
    }

    fn of(bytes: &[u8]) -> Result<Self, MasterKeyError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| MasterKeyError::Crypto)?;
        Ok(Self(Arc::new(key)))
    }
}

fn fresh() -> Result<Zeroizing<[u8; LEN]>, MasterKeyError> {
    let mut bytes = Zeroizing::new([0; LEN]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| MasterKeyError::Crypto)?;
    Ok(bytes)
}

/// What is authenticated with a secret.
fn name(of: SecretOf) -> Vec<u8> {
    match of {
        SecretOf::Account(sid) => format!("rotunda auth token {sid}").into_bytes(),
        SecretOf::ApiKey(sid) => format!("rotunda api key secret {sid}").into_bytes(),
    }
}

fn hex(text: &str) -> Option<[u8; LEN]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * LEN {
        return None;
    }
    let mut bytes = [0; LEN];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| (digit as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn base64(text: &str) -> Option<[u8; LEN]> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [&alphabet::STANDARD, &alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| {
            let bytes = Zeroizing::new(GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()?);
            bytes.as_slice().try_into().ok()
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use room::{AccountSid, ApiKeySid};

    use super::*;

    const OF: SecretOf = SecretOf::Account(AccountSid::from_bytes([1; 16]));

    #[test]
    fn opens_what_it_sealed_for_the_same_row_alone() {
        let key = MasterKey::random().unwrap();
        let sealed = key.seal(OF, "a secret").unwrap();
        assert_eq!(key.open(OF, &sealed).unwrap().as_str(), "a secret");
        assert_ne!(sealed, key.seal(OF, "a secret").unwrap(), "each has a nonce of its own");
        let others = [
            SecretOf::Account(AccountSid::from_bytes([2; 16])),
            SecretOf::ApiKey(ApiKeySid::from_bytes([1; 16])),
        ];
        for other in others {
            assert!(key.open(other, &sealed).is_err());
        }
        assert!(MasterKey::random().unwrap().open(OF, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(OF, &changed).is_err(), "byte {at}");
            assert!(key.open(OF, &sealed[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn keys_are_read_as_people_write_them() {
        let hex = "00ff".repeat(16);
        let standard = "AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8=";
        let sealed = MasterKey::parse(&hex).unwrap().seal(OF, "x").unwrap();
        let url_safe = standard.replace('/', "_");
        for text in [
            &hex,
            &hex.to_uppercase(),
            &format!(" {hex}\n"),
            standard,
            standard.trim_end_matches('='),
            &url_safe,
        ] {
            assert!(MasterKey::parse(text).unwrap().open(OF, &sealed).is_ok(), "{text}");
        }
        for text in ["", "x", &hex[1..], &"g".repeat(64), &format!("{hex}00"), &standard[1..]] {
            assert!(MasterKey::parse(text).is_none(), "{text}");
        }
        assert_eq!(format!("{:?}", MasterKey::parse(&hex).unwrap()), "MasterKey(..)");
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        assert!(MasterKey::read(directory.path()).unwrap().is_none());
        let sealed = MasterKey::make(directory.path()).unwrap().seal(OF, "x").unwrap();
        let mode = std::fs::metadata(directory.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let kept = MasterKey::read(directory.path()).unwrap().unwrap();
        assert!(kept.open(OF, &sealed).is_ok());
        assert!(matches!(
            MasterKey::make(directory.path()),
            Err(MasterKeyError::Unwritable { .. })
        ));
        std::fs::write(directory.path().join(FILE), "no key").unwrap();
        assert!(matches!(
            MasterKey::read(directory.path()),
            Err(MasterKeyError::Malformed { .. })
        ));
    }
}
