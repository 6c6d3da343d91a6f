//! How a client says who it is at a token endpoint: by its id alone, by a secret, or by
//! an assertion that it signs (RFC 6749 §2.3, RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

use super::urls::encoded;
use crate::http::private_key_of_pem;
use crate::redact::Secret;

/// Who asks for tokens.
pub(super) struct OAuthClient {
    pub(super) id: String,
    pub(super) identity: ClientIdentity,
}

/// How it says who it is.
pub(super) enum ClientIdentity {
    /// Its id alone.
    Public,
    /// A secret that it shares with the server.
    Secret(Secret),
    /// A key whose public half the server has.
    Key(Box<SigningKey>),
}

const BASIC: &str = "client_secret_basic";
const POST: &str = "client_secret_post";

fn has(methods: &[String], name: &str) -> bool {
    methods.iter().any(|method| method == name)
}

/// Whether a token endpoint of these methods takes secrets; none are the default of
/// RFC 8414, which is one of a secret.
pub(super) fn takes_secrets(methods: &[String]) -> bool {
    methods.is_empty() || has(methods, BASIC) || has(methods, POST)
}

/// How a client that is registered (RFC 7591) is to say who it is: without a secret,
/// which nobody can keep on a user's host, unless the server wants one; then as
/// [`ClientIdentity::shown`] will show it.
pub(super) fn method_to_register(methods: &[String]) -> &'static str {
    let of_secret = || [BASIC, POST].into_iter().find(|it| has(methods, it));
    match has(methods, "none") {
        true => "none",
        false => of_secret().unwrap_or("none"),
    }
}

/// How a request shows it.
#[derive(Default)]
pub(super) struct Shown {
    /// The value of `Authorization`.
    pub(super) authorization: Option<String>,
    /// Fields of the form beside `client_id`.
    pub(super) fields: Vec<(&'static str, String)>,
}

impl ClientIdentity {
    /// What a request to this server has. `methods` are those that the server names;
    /// none are the default of RFC 8414, `client_secret_basic`. `now` is in seconds since
    /// 1970, `audience` the server's issuer.
    pub(super) fn shown(
        &self,
        client_id: &str,
        methods: &[String],
        audience: &str,
        now: u64,
    ) -> Shown {
        match self {
            Self::Public => Shown::default(),
            Self::Secret(secret) => {
                if has(methods, POST) && !has(methods, BASIC) {
                    return Shown {
                        fields: vec![("client_secret", secret.expose().to_string())],
                        ..Shown::default()
                    };
                }
                // RFC 6749 §2.3.1: each is encoded as in a form first.
                let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
                Shown {
                    authorization: Some(format!("Basic {}", STANDARD.encode(pair))),
                    ..Shown::default()
                }
            }
            Self::Key(key) => {
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let assertion = key.assertion(client_id, audience, now);
                Shown {
                    fields: vec![
                        ("client_assertion_type", kind.to_string()),
                        ("client_assertion", assertion),
                    ],
                    ..Shown::default()
                }
            }
        }
    }
}

/// A private key, and what it signs with.
pub(super) enum SigningKey {
    Ec256(EcdsaKeyPair),
    Ec384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl SigningKey {
    /// Reads a key in PEM: PKCS#8, SEC 1 or PKCS#1.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment. The key is not shown.
    pub(super) fn read(pem: &str) -> Result<Self, String> {
        if pem.contains("ENCRYPTED") {
            let fault = "holds an encrypted key, which cannot be read: write it without a passphrase \
                         (`openssl pkey -in FILE -out OTHER`)";
            return Err(fault.to_string());
        }
        let der = private_key_of_pem(pem).ok_or("holds no private key in PEM form")?;
        let der = der.as_slice();
        // What each form is read as, since a name of the forms is not to be had.
        let of_sec1 = |curve: &&[u8]| Self::of_pkcs8(&pkcs8_of_sec1(der, curve));
        let found = Self::of_pkcs8(der)
            .or_else(|| [P256, P384].iter().find_map(of_sec1))
            .or_else(|| {
                let key = RsaKeyPair::from_der(der).ok()?;
                Some(Self::Rsa(Box::new(key)))
            });
        found.ok_or_else(|| {
            "holds a key that cannot sign here: P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits"
                .to_string()
        })
    }

    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        let random = SystemRandom::new();
        let ec = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der, &random).ok();
        let rsa = || RsaKeyPair::from_pkcs8(der).ok();
        None.or_else(|| ec(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::Ec256))
            .or_else(|| ec(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::Ec384))
            .or_else(|| {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                    .ok()
                    .map(Self::Ed25519)
            })
            .or_else(|| rsa().map(|key| Self::Rsa(Box::new(key))))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ec256(_) => "ES256",
            Self::Ec384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    /// A JWT that says who the client is, for one request.
    fn assertion(&self, client_id: &str, audience: &str, now: u64) -> String {
        /// How far behind a server's clock may be.
        const SKEW_SECS: u64 = 10;
        const LIFETIME_SECS: u64 = 120;
        let header = json!({"alg": self.algorithm(), "typ": "JWT"});
        // No `nbf`: a server whose clock is behind would refuse it.
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": now.saturating_sub(SKEW_SECS),
            "exp": now + LIFETIME_SECS,
            "jti": random_text(),
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The signature; empty where the system has no random numbers, which no server takes.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let bytes = |signature: ring::signature::Signature| signature.as_ref().to_vec();
        match self {
            Self::Ec256(key) | Self::Ec384(key) => {
                key.sign(&random, message).map(bytes).unwrap_or_default()
            }
            Self::Ed25519(key) => bytes(key.sign(message)),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let signed = key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature).unwrap_or_default()
            }
        }
    }
}

/// 256 random bits, as a text that needs no encoding: a `state`, a code verifier.
pub(super) fn random_text() -> String {
    let mut bytes = [0; 32];
    // It fails only where the system has none, and then TLS had failed before.
    let filled = SystemRandom::new().fill(&mut bytes);
    assert!(filled.is_ok(), "the system gives no random numbers");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The algorithm identifiers of the curves, as PKCS#8 has them (RFC 5480).
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];

/// `ring` reads keys of curves in PKCS#8 alone (RFC 5958 §2).
fn pkcs8_of_sec1(sec1: &[u8], algorithm: &[u8]) -> Vec<u8> {
    let mut inner = vec![0x02, 0x01, 0x00];
    inner.extend_from_slice(algorithm);
    inner.extend(der(0x04, sec1));
    der(0x30, &inner)
}

/// A value of DER: its tag, its length, its content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len().to_be_bytes();
    let n_zeros = len.iter().take_while(|byte| **byte == 0).count();
    let mut out = vec![tag];
    if content.len() < 0x80 {
        out.push(content.len() as u8);
    } else {
        out.push(0x80 | (len.len() - n_zeros) as u8);
        out.extend_from_slice(&len[n_zeros..]);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, KeyPair as _,
        RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    };
    use serde_json::Value;

    use super::*;

    const SEC1: &str = include_str!("../../../tests/oauth/p256-sec1.pem");

    #[test]
    fn keys_of_each_kind_sign_what_their_public_half_verifies() {
        let check = |pem: &str, name: &str, algorithm: &'static dyn VerificationAlgorithm| {
            let key = SigningKey::read(pem).expect("a key");
            assert_eq!(key.algorithm(), name);
            let public = match &key {
                SigningKey::Ec256(key) | SigningKey::Ec384(key) => {
                    key.public_key().as_ref().to_vec()
                }
                SigningKey::Ed25519(key) => key.public_key().as_ref().to_vec(),
                SigningKey::Rsa(key) => key.public().as_ref().to_vec(),
            };
            let assertion = key.assertion("ci", "https://as", 1_795_000_000);
            let (signed, signature) = assertion.rsplit_once('.').expect("three parts");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
            let verified = UnparsedPublicKey::new(algorithm, public);
            let verified = verified.verify(signed.as_bytes(), &signature);
            assert!(verified.is_ok(), "{name}");
            let (_, claims) = signed.split_once('.').expect("two parts");
            let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
            let claims: Value = serde_json::from_slice(&claims).expect("JSON");
            assert_eq!(
                (&claims["iss"], &claims["aud"]),
                (&json!("ci"), &json!("https://as"))
            );
            assert!(claims["iat"].as_u64() < Some(1_795_000_000) && claims["nbf"].is_null());
        };
        check(SEC1, "ES256", &ECDSA_P256_SHA256_FIXED);
        let p384 = include_str!("../../../tests/oauth/p384-pkcs8.pem");
        check(p384, "ES384", &ECDSA_P384_SHA384_FIXED);
        let ed25519 = include_str!("../../../tests/oauth/ed25519.pem");
        check(ed25519, "EdDSA", &ED25519);
        let rsa = include_str!("../../../tests/oauth/rsa-pkcs1.pem");
        check(rsa, "RS256", &RSA_PKCS1_2048_8192_SHA256);
    }

    #[test]
    fn a_client_registers_what_it_will_show() {
        let check = |methods: &[&str], expected: &str, takes: bool| {
            let methods: Vec<String> = methods.iter().map(|it| it.to_string()).collect();
            assert_eq!(method_to_register(&methods), expected, "{methods:?}");
            assert_eq!(takes_secrets(&methods), takes, "{methods:?}");
            let identity = ClientIdentity::Secret(Secret::new("s3cret"));
            let shown = identity.shown("id", &methods, "https://as", 0);
            let is_post = shown.authorization.is_none();
            assert_eq!(is_post, expected == POST, "{methods:?}");
        };
        check(&[], "none", true);
        check(&["none"], "none", false);
        check(&["private_key_jwt"], "none", false);
        check(&[BASIC, "none"], "none", true);
        check(&[POST, BASIC], BASIC, true);
        check(&[POST], POST, true);
    }

    #[test]
    fn what_is_no_key_is_named_and_not_shown() {
        let cut: String = SEC1.lines().take(2).collect();
        for (pem, expected) in [
            (
                include_str!("../../../tests/oauth/encrypted.pem"),
                "without a passphrase",
            ),
            (
                include_str!("../../../tests/oauth/x25519.pem"),
                "cannot sign here",
            ),
            ("secret", "no private key in PEM form"),
            (&cut, "no private key in PEM form"),
            ("", "no private key in PEM form"),
        ] {
            let fault = SigningKey::read(pem).err().expect("a fault");
            assert!(fault.contains(expected), "{fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn a_secret_is_encoded_before_it_is_base64() {
        let identity = ClientIdentity::Secret(Secret::new("p:ä"));
        let shown = |methods: &[&str]| {
            let methods: Vec<String> = methods.iter().map(|it| it.to_string()).collect();
            identity.shown("a b", &methods, "https://as", 0)
        };
        let basic = format!("Basic {}", STANDARD.encode("a%20b:p%3A%C3%A4"));
        for methods in [&[][..], &["client_secret_basic", "client_secret_post"]] {
            assert_eq!(shown(methods).authorization.as_ref(), Some(&basic));
        }
        let post = shown(&["client_secret_post"]);
        assert_eq!(post.authorization, None);
        assert_eq!(post.fields, [("client_secret", "p:ä".to_string())]);
    }
}
