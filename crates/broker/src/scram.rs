//! The keys that a server keeps instead of a password (RFC 5802).
//!
//! Knows nothing of who gives or asks for them.

use hmac::{Hmac, KeyInit, Mac};
use ottla_controller::{ScramCredential, ScramMechanism};
use sha2::{Digest, Sha256, Sha512};

/// From a password that was salted and hashed so often.
pub(crate) fn credential(
    mechanism: ScramMechanism,
    salt: Vec<u8>,
    iterations: i32,
    salted_password: &[u8],
) -> ScramCredential {
    ScramCredential {
        salt,
        iterations,
        stored_key: hash(mechanism, &hmac(mechanism, salted_password, b"Client Key")),
        server_key: hmac(mechanism, salted_password, b"Server Key"),
    }
}

/// The RFC's `Hi`.
pub(crate) fn salted_password(
    mechanism: ScramMechanism,
    password: &[u8],
    salt: &[u8],
    iterations: i32,
) -> Vec<u8> {
    let mut block = hmac(mechanism, password, &[salt, &1_u32.to_be_bytes()].concat());
    let mut salted = block.clone();
    for _ in 1..iterations {
        block = hmac(mechanism, password, &block);
        for (sum, byte) in salted.iter_mut().zip(&block) {
            *sum ^= byte;
        }
    }
    salted
}

fn hmac(mechanism: ScramMechanism, key: &[u8], message: &[u8]) -> Vec<u8> {
    match mechanism {
        ScramMechanism::Sha256 => hmac_of::<Hmac<Sha256>>(key, message),
        ScramMechanism::Sha512 => hmac_of::<Hmac<Sha512>>(key, message),
    }
}

fn hmac_of<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key may be of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn hash(mechanism: ScramMechanism, message: &[u8]) -> Vec<u8> {
    match mechanism {
        ScramMechanism::Sha256 => Sha256::digest(message).to_vec(),
        ScramMechanism::Sha512 => Sha512::digest(message).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const MECHANISM: ScramMechanism = ScramMechanism::Sha256;

    /// The example of RFC 7677: user `user`, password `pencil`.
    #[test]
    fn keys_are_those_of_the_rfcs_example() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted_password(MECHANISM, b"pencil", &salt, 4096);
        let credential = credential(MECHANISM, salt, 4096, &salted);
        // The RFC's client proof is the client key, hidden under a signature
        // that whoever has the stored key can compute.
        let message =
            b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(MECHANISM, &credential.stored_key, message);
        let proof = STANDARD
            .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(hash(MECHANISM, &client_key), credential.stored_key);
        let server = hmac(MECHANISM, &credential.server_key, message);
        assert_eq!(
            STANDARD.encode(server),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }
}
