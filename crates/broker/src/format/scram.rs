//! SCRAM credentials as `--add-scram` gives them (RFC 5802; KIP-900).
//!
//! What is kept are the two keys that a server needs, from which the password
//! cannot be had.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use uuid::Uuid;

const ITERATIONS_DEFAULT: u32 = 4096;
const ITERATIONS_MIN: u32 = 4096;
const ITERATIONS_MAX: u32 = 16384;

/// What a server knows of one user's password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    pub mechanism: Mechanism,
    pub user: String,
    pub salt: Vec<u8>,
    pub iterations: u32,
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramCredential {
    /// Without the keys: they let whoever has them try passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredential")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    Sha256,
    Sha512,
}

impl Mechanism {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|mechanism| mechanism.name() == name)
    }

    fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => hmac::<Hmac<Sha256>>(key, message),
            Self::Sha512 => hmac::<Hmac<Sha512>>(key, message),
        }
    }

    fn hash(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    /// RFC 5802's `Hi`.
    fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut block = self.hmac(password, &[salt, &1_u32.to_be_bytes()].concat());
        let mut salted = block.clone();
        for _ in 1..iterations {
            block = self.hmac(password, &block);
            for (sum, byte) in salted.iter_mut().zip(&block) {
                *sum ^= byte;
            }
        }
        salted
    }
}

fn hmac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key may be of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Why a credential is refused. None of them repeats a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("--add-scram: write MECHANISM=[name=USER,password=PASSWORD]")]
    Form,
    #[error("The add-scram mechanism {0} is not supported.")]
    Mechanism(String),
    #[error("Unknown SCRAM configurations: {0}")]
    Unknown(String),
    #[error("You must supply 'name' to add-scram")]
    NoName,
    #[error("You must supply one of 'password' or 'saltedpassword' to add-scram")]
    NoPassword,
    #[error("You must supply 'salt' with 'saltedpassword' to add-scram")]
    NoSalt,
    #[error("--add-scram: {0} is not base64")]
    Base64(&'static str),
    #[error(
        "The 'iterations' value must be >= {ITERATIONS_MIN} and <= {ITERATIONS_MAX} for add-scram"
    )]
    Iterations,
}

impl ScramCredential {
    /// `SCRAM-SHA-256=[name=alice,password=secret]`, also with `iterations`, and
    /// with `salt` and `saltedpassword` instead of a password.
    ///
    /// # Errors
    /// When the text is of another form.
    pub fn parse(text: &str) -> Result<Self, ScramError> {
        let (mechanism, rest) = text.trim().split_once('=').ok_or(ScramError::Form)?;
        let mechanism = Mechanism::from_name(mechanism)
            .ok_or_else(|| ScramError::Mechanism(mechanism.to_owned()))?;
        let inside = rest
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let fields = Fields::parse(inside.ok_or(ScramError::Form)?)?;
        let user = fields.user.ok_or(ScramError::NoName)?;
        let iterations = iterations(fields.iterations)?;
        let salt = fields.salt.map(|text| decode("salt", text)).transpose()?;
        let (salt, salted) = match (fields.password, fields.salted_password, salt) {
            (Some(password), _, salt) => {
                let salt = salt.unwrap_or_else(fresh_salt);
                let salted = mechanism.salted_password(password.as_bytes(), &salt, iterations);
                (salt, salted)
            }
            (None, Some(salted), Some(salt)) => (salt, decode("saltedpassword", salted)?),
            (None, Some(_), None) => return Err(ScramError::NoSalt),
            (None, None, _) => return Err(ScramError::NoPassword),
        };
        Ok(Self {
            mechanism,
            user: user.to_owned(),
            salt,
            iterations,
            stored_key: mechanism.hash(&mechanism.hmac(&salted, b"Client Key")),
            server_key: mechanism.hmac(&salted, b"Server Key"),
        })
    }
}

/// What stands between the brackets.
#[derive(Default)]
struct Fields<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    salted_password: Option<&'a str>,
    salt: Option<&'a str>,
    iterations: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn parse(inside: &'a str) -> Result<Self, ScramError> {
        let mut fields = Self::default();
        for field in inside.split(',') {
            let (key, value) = field.split_once('=').ok_or(ScramError::Form)?;
            let unquoted = value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let slot = match key {
                "name" => &mut fields.user,
                "password" => &mut fields.password,
                "saltedpassword" => &mut fields.salted_password,
                "salt" => &mut fields.salt,
                "iterations" => &mut fields.iterations,
                other => return Err(ScramError::Unknown(other.to_owned())),
            };
            *slot = Some(unquoted.unwrap_or(value));
        }
        Ok(fields)
    }
}

fn iterations(text: Option<&str>) -> Result<u32, ScramError> {
    match text.map(str::parse) {
        None => Ok(ITERATIONS_DEFAULT),
        Some(Ok(count)) if (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&count) => Ok(count),
        Some(Ok(_) | Err(_)) => Err(ScramError::Iterations),
    }
}

fn decode(what: &'static str, text: &str) -> Result<Vec<u8>, ScramError> {
    STANDARD.decode(text).map_err(|_| ScramError::Base64(what))
}

fn fresh_salt() -> Vec<u8> {
    [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677: user `user`, password `pencil`.
    #[test]
    fn keys_are_those_of_the_rfcs_example() {
        let credential = ScramCredential::parse(
            "SCRAM-SHA-256=[name=user,password=\"pencil\",salt=W22ZaJ0SNY7soEsUEjb6gQ==,iterations=4096]",
        )
        .unwrap();
        assert_eq!(credential.user, "user");
        assert_eq!(credential.iterations, 4096);
        // The RFC's client proof is the client key, hidden under a signature
        // that whoever has the stored key can compute.
        let message =
            b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = Mechanism::Sha256.hmac(&credential.stored_key, message);
        let proof = STANDARD
            .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(Mechanism::Sha256.hash(&client_key), credential.stored_key);
        let server = Mechanism::Sha256.hmac(&credential.server_key, message);
        assert_eq!(
            STANDARD.encode(server),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn a_salted_password_leads_to_the_same_keys() {
        let plain =
            ScramCredential::parse("SCRAM-SHA-512=[name=a,password=b,salt=N3E=,iterations=4096]")
                .unwrap();
        let salted = Mechanism::Sha512.salted_password(b"b", &plain.salt, 4096);
        let text = format!(
            "SCRAM-SHA-512=[name=a,iterations=4096,salt=\"N3E=\",saltedpassword=\"{}\"]",
            STANDARD.encode(salted)
        );
        assert_eq!(ScramCredential::parse(&text).unwrap(), plain);
    }

    #[test]
    fn each_password_gets_a_salt_of_its_own() {
        let credential = || ScramCredential::parse("SCRAM-SHA-256=[name=a,password=b]").unwrap();
        assert_ne!(credential().salt, credential().salt);
        assert_eq!(credential().iterations, 4096);
    }

    #[test]
    fn other_forms_are_refused() {
        let cases = [
            ("SCRAM-SHA-256", ScramError::Form),
            ("SCRAM-SHA-256=name=a", ScramError::Form),
            ("SCRAM-SHA-256=[name]", ScramError::Form),
            ("MD5=[name=a]", ScramError::Mechanism("MD5".to_owned())),
            ("SCRAM-SHA-256=[password=b]", ScramError::NoName),
            ("SCRAM-SHA-256=[name=a]", ScramError::NoPassword),
            (
                "SCRAM-SHA-256=[name=a,saltedpassword=YCE=]",
                ScramError::NoSalt,
            ),
            (
                "SCRAM-SHA-256=[name=a,password=b,salt=%]",
                ScramError::Base64("salt"),
            ),
            (
                "SCRAM-SHA-256=[name=a,password=b,iterations=1]",
                ScramError::Iterations,
            ),
            (
                "SCRAM-SHA-256=[name=a,password=b,iterations=16385]",
                ScramError::Iterations,
            ),
            (
                "SCRAM-SHA-256=[nom=a]",
                ScramError::Unknown("nom".to_owned()),
            ),
        ];
        for (text, error) in cases {
            assert_eq!(ScramCredential::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn debugging_shows_no_key() {
        let credential = ScramCredential::parse("SCRAM-SHA-256=[name=a,password=b]").unwrap();
        assert!(!format!("{credential:?}").contains("key"));
    }
}
