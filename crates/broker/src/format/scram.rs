//! SCRAM credentials as `--add-scram` gives them (KIP-900).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_controller::{CredentialId, ScramCredential, ScramMechanism};
use uuid::Uuid;

use crate::scram::{credential, salted_password};

const ITERATIONS_DEFAULT: i32 = *ScramMechanism::ITERATIONS.start();

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
        "The 'iterations' value must be >= {} and <= {} for add-scram",
        ScramMechanism::ITERATIONS.start(),
        ScramMechanism::ITERATIONS.end()
    )]
    Iterations,
}

/// `SCRAM-SHA-256=[name=alice,password=secret]`, also with `iterations`, and with
/// `salt` and `saltedpassword` instead of a password.
pub(super) fn parse(text: &str) -> Result<(CredentialId, ScramCredential), ScramError> {
    let (mechanism, rest) = text.trim().split_once('=').ok_or(ScramError::Form)?;
    let mechanism = ScramMechanism::from_name(mechanism)
        .ok_or_else(|| ScramError::Mechanism(mechanism.to_owned()))?;
    let inside = rest
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let fields = Fields::parse(inside.ok_or(ScramError::Form)?)?;
    let user = fields.user.ok_or(ScramError::NoName)?.to_owned();
    let iterations = iterations(fields.iterations)?;
    let salt = fields.salt.map(|text| decode("salt", text)).transpose()?;
    let (salt, salted) = match (fields.password, fields.salted_password, salt) {
        (Some(password), _, salt) => {
            let salt = salt.unwrap_or_else(fresh_salt);
            let salted = salted_password(mechanism, password.as_bytes(), &salt, iterations);
            (salt, salted)
        }
        (None, Some(salted), Some(salt)) => (salt, decode("saltedpassword", salted)?),
        (None, Some(_), None) => return Err(ScramError::NoSalt),
        (None, None, _) => return Err(ScramError::NoPassword),
    };
    let of = CredentialId { user, mechanism };
    Ok((of, credential(mechanism, salt, iterations, &salted)))
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

fn iterations(text: Option<&str>) -> Result<i32, ScramError> {
    match text.map(str::parse) {
        None => Ok(ITERATIONS_DEFAULT),
        Some(Ok(count)) if ScramMechanism::ITERATIONS.contains(&count) => Ok(count),
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

    #[test]
    fn a_salted_password_leads_to_the_same_keys() {
        let plain = parse("SCRAM-SHA-512=[name=a,password=b,salt=N3E=,iterations=4096]").unwrap();
        let salted = salted_password(ScramMechanism::Sha512, b"b", &plain.1.salt, 4096);
        let text = format!(
            "SCRAM-SHA-512=[name=a,iterations=4096,salt=\"N3E=\",saltedpassword=\"{}\"]",
            STANDARD.encode(salted)
        );
        assert_eq!(parse(&text).unwrap(), plain);
    }

    #[test]
    fn each_password_gets_a_salt_of_its_own() {
        let credential = || parse("SCRAM-SHA-256=[name=a,password=b]").unwrap().1;
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
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
