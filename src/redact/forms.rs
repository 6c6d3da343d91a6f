//! The forms in which a secret may come back. Knows nothing of texts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::decoded::levels;

/// Values shorter than this are not looked for inside of a text: they would
/// mask half of every message and protect nothing.
pub const SECRET_CHARS_MIN: usize = 4;

/// Shorter ones have no form in base64 that is worth looking for.
const BASE64_CHARS_MIN: usize = 8;

/// The forms in which a secret may come back in a text that is decoded: escapes are no
/// matter of forms.
pub(super) fn forms(secret: &str) -> Vec<String> {
    let mut forms = forms_of_text(secret);
    // Who takes it for escaped decodes it, and so does who looks for it.
    for decoded in levels(secret) {
        forms.extend(forms_of_text(&decoded));
    }
    forms.retain(|form| form.chars().count() >= SECRET_CHARS_MIN);
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn forms_of_text(secret: &str) -> Vec<String> {
    // As forms of HTML pages send it.
    let mut forms = vec![secret.to_string(), secret.replace(' ', "+")];
    // Texts are written line by line.
    forms.extend(secret.lines().map(|line| line.trim().to_string()));
    if secret.chars().count() >= BASE64_CHARS_MIN {
        forms.push(STANDARD_NO_PAD.encode(secret));
        forms.push(URL_SAFE_NO_PAD.encode(secret));
    }
    forms
}
