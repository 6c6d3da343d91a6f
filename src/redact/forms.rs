//! The forms in which a secret may come back. Knows nothing of texts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Values shorter than this are not looked for inside of a text: they would
/// mask half of every message and protect nothing.
pub const SECRET_CHARS_MIN: usize = 4;

/// Shorter ones have no form in base64 that is worth looking for.
const BASE64_CHARS_MIN: usize = 8;

/// The forms in which a secret may come back.
pub(super) fn forms(secret: &str) -> Vec<String> {
    let mut forms = forms_of_text(secret);
    // Who decodes it may encode what it means anew.
    if let Some(decoded) = percent_decoded(secret) {
        forms.extend(forms_of_text(&decoded));
    }
    forms.retain(|form| form.chars().count() >= SECRET_CHARS_MIN);
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn forms_of_text(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_string(),
        percent_encoded(secret, "%20"),
        percent_encoded(secret, "+"),
        secret.bytes().map(|byte| format!("%{byte:02x}")).collect(),
    ];
    // Texts are written line by line.
    forms.extend(secret.lines().map(|line| line.trim().to_string()));
    if let Ok(json) = serde_json::to_string(secret) {
        let json = json.trim_start_matches('"');
        let json = json.strip_suffix('"').unwrap_or(json);
        forms.push(json.replace('/', "\\/"));
        forms.push(json.to_string());
    }
    if secret.chars().count() >= BASE64_CHARS_MIN {
        forms.push(STANDARD_NO_PAD.encode(secret));
        forms.push(URL_SAFE_NO_PAD.encode(secret));
    }
    forms
}

fn percent_encoded(text: &str, blank: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push_str(blank),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `None` where nothing in it is encoded, or it is no text.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}
