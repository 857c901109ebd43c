//! The key that signs the tokens of service accounts: ECDSA on P-256, as ES256 (RFC 7518).
//!
//! Source: `pkg/serviceaccount/{jwt,openidmetadata}.go`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kit_server::Signer;
use rcgen::{KeyPair, PublicKeyData};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io;

/// The longest token that is looked at: claims are a few hundred bytes.
const LONGEST: usize = 16 * 1024;

/// The key, and its name.
pub struct Keys {
    key: EcdsaKeyPair,
    random: SystemRandom,
    /// The hash of the public key, in the form of a key's id (`keyIDFromPublicKey`).
    id: String,
}

impl Keys {
    /// The key of a PEM file; [`new_pem`] makes one.
    ///
    /// # Errors
    ///
    /// If it is no key of this kind.
    pub fn from_pem(pem: &str) -> io::Result<Keys> {
        let pair = KeyPair::from_pem(pem).map_err(io::Error::other)?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.serialized_der(), &random);
        let key = key.map_err(|why| io::Error::other(format!("no key of ECDSA on P-256: {why}")))?;
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()));
        Ok(Keys { key, random, id })
    }
}

/// A new key and its public part, in PEM.
///
/// # Errors
///
/// If the machine gives no chance to draw it from.
pub fn new_pem() -> Result<(String, String), rcgen::Error> {
    let pair = KeyPair::generate()?;
    Ok((pair.serialize_pem(), pair.public_key_pem()))
}

impl Signer for Keys {
    fn sign(&self, claims: &Value) -> Option<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": self.id})), part(claims));
        let signature = self.key.sign(&self.random, signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn verify(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        let (head, claims) = signed.split_once('.')?;
        let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        // The key decides which algorithm counts, never the token.
        part(head).filter(|head| head["alg"] == "ES256")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key());
        public.verify(signed.as_bytes(), &signature).ok()?;
        part(claims)
    }

    fn keys(&self) -> Value {
        // A point in its plain form: a byte that says so, and both coordinates.
        let point = self.key.public_key().as_ref();
        let (x, y) = point.get(1..65).map(|point| point.split_at(32)).unwrap_or_default();
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({"keys": [{"use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}]})
    }

    fn algorithms(&self) -> &'static [&'static str] {
        &["ES256"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_key_signed_is_believed() {
        let [mine, other] = [(); 2].map(|()| Keys::from_pem(&new_pem().expect("a key").0).expect("it is a key"));
        let claims = json!({"sub": "system:serviceaccount:default:bot", "exp": 1});
        let token = mine.sign(&claims).expect("it signs");
        assert_eq!((mine.verify(&token), other.verify(&token)), (Some(claims.clone()), None));
        let parts: Vec<&str> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(json!({"sub": "system:admin"}).to_string());
        let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string());
        for bad in [
            format!("{}.{forged}.{}", parts[0], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}.{token}"),
            token.replace('.', ""),
            String::new(),
            "..".into(),
            "é.é.é".into(),
        ] {
            assert_eq!(mine.verify(&bad), None, "{bad}");
        }
        assert_eq!(mine.keys()["keys"][0]["x"].as_str().map(str::len), Some(43));
    }
}
