//! Sample texts: what a value of a known format, or of a property with a
//! telling name, could be.
//!
//! Addresses and names are those reserved for examples (RFC 2606, 5737, 3849).

/// A text of a `format` of JSON Schema, or `None` for a format not known.
pub(super) fn text_of_format(format: &str) -> Option<&'static str> {
    Some(match format {
        "date-time" | "datetime" | "timestamp" => "2026-01-01T12:00:00Z",
        "date" => "2026-01-01",
        "time" => "12:00:00Z",
        "duration" => "PT1H",
        "email" | "idn-email" => "user@example.com",
        "hostname" | "idn-hostname" | "domain" => "example.com",
        "ipv4" | "ip" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "url" | "iri" | "uri-reference" | "iri-reference" => "https://example.com/",
        "uri-template" => "https://example.com/{id}",
        "uuid" => "00000000-0000-4000-8000-000000000001",
        "json-pointer" => "/test",
        "relative-json-pointer" => "0",
        "byte" | "base64" | "binary" => "dGVzdA==",
        "regex" => "test",
        "color" | "hex-color" => "#336699",
        "phone" | "phone-number" => "+12025550123",
        _ => return None,
    })
}

/// A text for a property of that name.
pub fn text_of_name(name: &str) -> &'static str {
    let words = words_of(name);
    // The last word says what a thing is, those before which one it is.
    words
        .iter()
        .rev()
        .find_map(|word| text_of_word(word))
        .unwrap_or("test")
}

/// A whole number for a property of that name.
pub(super) fn number_of_name(name: &str) -> i64 {
    let words = words_of(name);
    let known = words.iter().rev().find_map(|word| match word.as_str() {
        "limit" | "max" | "count" | "size" | "top" => Some(10),
        "port" => Some(8080),
        "year" => Some(2026),
        "offset" | "skip" => Some(0),
        "timestamp" => Some(1_767_268_800),
        _ => None,
    });
    known.unwrap_or(1)
}

fn text_of_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "url" | "uri" | "link" | "href" | "endpoint" | "website" => "https://example.com/",
        "email" | "mail" => "user@example.com",
        "host" | "hostname" | "domain" => "example.com",
        "ip" => "192.0.2.1",
        "path" | "file" | "filename" | "filepath" => "test.txt",
        "dir" | "directory" | "folder" => ".",
        "query" | "q" | "search" | "term" | "keyword" | "keywords" => "test",
        "id" | "ids" => "1",
        "uuid" | "guid" => "00000000-0000-4000-8000-000000000001",
        "text" | "message" | "msg" | "content" | "body" | "input" | "prompt" | "topic"
        | "comment" | "description" | "title" | "subject" => "Hello",
        "date" | "day" | "start" | "end" | "since" | "until" => "2026-01-01",
        "datetime" | "timestamp" => "2026-01-01T12:00:00Z",
        "time" => "12:00:00",
        "timezone" | "tz" => "UTC",
        "language" | "lang" | "locale" => "en",
        "country" => "US",
        "city" | "location" | "place" | "address" => "London",
        "currency" => "USD",
        "color" | "colour" => "#336699",
        "phone" => "+12025550123",
        "sql" => "SELECT 1",
        "code" => "1",
        "expression" | "formula" | "expr" => "1 + 1",
        "json" => "{}",
        _ => return None,
    })
}

/// Words that say that a tool changes something, where its server says nothing of it.
/// `add` is not one of them: more tools add numbers.
const WORDS_OF_WRITING: &str = "append apply approve archive assign ban book buy cancel charge clear commit create delete \
     deploy deposit destroy disable drop edit enable erase exec execute grant import insert \
     install invite kill merge modify move notify order patch pay post provision publish \
     purchase purge push put reboot refund register reject remove rename replace reply reserve \
     reset restart restore revoke rotate run save schedule sell send set shutdown submit \
     subscribe terminate transfer trigger truncate uninstall unsubscribe update upload upsert \
     wipe withdraw write";

/// The first word of a tool's name that says that the tool changes something.
pub fn word_of_writing(name: &str) -> Option<&'static str> {
    let words = words_of(name);
    let known = |word: &String| WORDS_OF_WRITING.split(' ').find(|known| known == word);
    words.iter().find_map(known)
}

/// `userEmail`, `user_email`, `user-email` are all `user`, `email`; `HTTPServer` is
/// `http`, `server`.
pub fn words_of(name: &str) -> Vec<String> {
    // No name that is longer says more.
    const LEN_MAX: usize = 100;
    let mut words = vec![String::new()];
    let mut was_lower = false;
    let mut chars = name.chars().take(LEN_MAX).peekable();
    while let Some(c) = chars.next() {
        // The last of several capitals begins the word after them.
        let ends_capitals = chars.peek().is_some_and(|next| next.is_lowercase());
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && (was_lower || ends_capitals));
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && c.is_alphanumeric()
        {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_text() {
        let check = |name: &str, expected: &str| assert_eq!(text_of_name(name), expected, "{name}");
        check("url", "https://example.com/");
        check("imageURL", "https://example.com/");
        check("userEmail", "user@example.com");
        check("user_id", "1");
        check("file-path", "test.txt");
        check("search_query_2", "test");
        check("", "test");
        check("名前", "test");
        check("$%&", "test");
        assert_eq!(number_of_name("maxResults"), 10);
        assert_eq!(number_of_name("page"), 1);
    }

    #[test]
    fn words_of_writing_are_whole_words() {
        assert!(WORDS_OF_WRITING.split(' ').is_sorted());
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(word_of_writing(name), expected, "{name}");
        };
        for name in [
            "delete_note",
            "note-delete",
            "noteDelete",
            "DeleteNote",
            "DELETE",
        ] {
            check(name, Some("delete"));
        }
        check("fs.deleteFile", Some("delete"));
        check("HTTPDelete", Some("delete"));
        check("sendHTTPRequest", Some("send"));
        check("order_coffee", Some("order"));
        check("executeSQL", Some("execute"));
        for name in [
            "add",
            "add_note",
            "addNote",
            "orders",
            "border",
            "reorder",
            "deleted",
            "notebook",
            "importance",
            "sender",
            "settings",
            "list",
            "search",
            "",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn an_unknown_format_has_no_text() {
        assert_eq!(text_of_format("date"), Some("2026-01-01"));
        assert_eq!(text_of_format("mime"), None);
    }
}
