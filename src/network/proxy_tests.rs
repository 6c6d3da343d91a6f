//! Which targets go through which proxy, row by row.

use super::*;

fn environment(variables: &[(&str, &str)]) -> ProxyChoice {
    ProxyChoice::of_environment(&|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.into())
    })
}

/// Host and port of a target, whether it goes past the proxy by the list.
#[test]
fn exceptions_are_matched_as_curl_does() {
    for (list, host, port, is_past) in [
        ("", "example.com", 80, false),
        (" , ,", "example.com", 80, false),
        ("*", "example.com", 80, true),
        ("*", "10.0.0.1", 80, true),
        ("*", "[2001:db8::1]", 80, true),
        // Names: the same, and those below.
        ("example.com", "example.com", 80, true),
        ("example.com", "EXAMPLE.com", 80, true),
        ("Example.COM", "example.com", 80, true),
        ("example.com", "www.example.com", 80, true),
        ("example.com", "a.b.example.com", 80, true),
        ("example.com", "nonexample.com", 80, false),
        ("example.com", "example.com.evil.net", 80, false),
        ("example.com", "com", 80, false),
        ("www.example.com", "example.com", 80, false),
        ("example.com", "example.com.", 80, true),
        ("example.com.", "example.com", 80, true),
        // A leading dot changes nothing.
        (".example.com", "www.example.com", 80, true),
        (".example.com", "example.com", 80, true),
        ("*.example.com", "www.example.com", 80, true),
        ("localhost", "localhost", 80, true),
        // Between blanks, between commas.
        ("a.net,example.com", "example.com", 80, true),
        ("a.net, example.com ,b.net", "example.com", 80, true),
        ("a.net example.com", "example.com", 80, true),
        ("a.net\texample.com", "example.com", 80, true),
        ("a.net,,b.net", "example.com", 80, false),
        // Ports.
        ("example.com:8080", "example.com", 8080, true),
        ("example.com:8080", "www.example.com", 8080, true),
        ("example.com:8080", "example.com", 80, false),
        ("10.0.0.1:81", "10.0.0.1", 81, true),
        ("10.0.0.1:81", "10.0.0.1", 80, false),
        ("[2001:db8::1]:81", "[2001:db8::1]", 81, true),
        ("[2001:db8::1]:81", "[2001:db8::1]", 80, false),
        // Addresses, and blocks of them.
        ("192.168.0.1", "192.168.0.1", 80, true),
        ("192.168.0.1", "192.168.0.10", 80, false),
        ("192.168.0.0/16", "192.168.77.3", 80, true),
        ("192.168.0.0/16", "192.169.0.1", 80, false),
        ("192.168.1.1/24", "192.168.1.200", 80, true),
        ("10.0.0.0/9", "10.127.255.255", 80, true),
        ("10.0.0.0/9", "10.128.0.0", 80, false),
        ("0.0.0.0/0", "8.8.8.8", 80, true),
        ("8.8.8.8/32", "8.8.8.9", 80, false),
        ("10.0.0.0/33", "10.0.0.0", 80, false),
        ("10.0.0.0/x", "10.0.0.0", 80, false),
        ("10.0.0.0/8", "10.example.com", 80, false),
        ("0.0.1", "10.0.0.1", 80, false),
        ("::1", "[::1]", 80, true),
        ("[::1]", "::1", 80, true),
        ("0:0:0:0:0:0:0:1", "[::1]", 80, true),
        ("2001:db8::/32", "[2001:db8:7::1]", 80, true),
        ("2001:db8::/32", "[2001:db9::1]", 80, false),
        ("::/0", "[2001:db9::1]", 80, true),
        ("::/0", "10.0.0.1", 80, false),
        ("fe80::/10", "[fe80::1%25eth0]", 80, true),
    ] {
        let choice = ProxyChoice {
            has_loopback: true,
            ..environment(&[("http_proxy", "http://p:1"), ("no_proxy", list)])
        };
        let found = matches!(choice.way(false, host, port), ProxyWay::Past(..));
        assert_eq!(found, is_past, "`{list}` and {host}:{port}");
    }
}

#[test]
fn entries_that_are_none_are_told() {
    for list in ["10.0.0.0/33", "a, b/c", "exa mple.com:x", "host:0", "a,b@c"] {
        assert!(Exception::parse_list(list).1.is_some(), "{list}");
    }
    let (found, fault) = Exception::parse_list("a.net, 10.0.0.0/99, b.net");
    assert_eq!((found.len(), fault.as_deref()), (2, Some("10.0.0.0/99")));
    let long = "a.net,".repeat(2000);
    assert!(Exception::parse_list(&long).1.is_some());
}

/// Which variable names the proxy of an `http` and of an `https` target.
#[test]
fn variables_are_chosen_by_scheme() {
    let check = |variables: &[(&str, &str)], http: Option<&str>, https: Option<&str>| {
        let choice = environment(variables);
        for (is_https, expected) in [(false, http), (true, https)] {
            let by = match choice.way(is_https, "example.com", 80) {
                ProxyWay::Through(named) => Some(named.by.as_str()),
                _ => None,
            };
            assert_eq!(by, expected, "{variables:?} {is_https}");
        }
    };
    check(&[], None, None);
    check(&[("HTTP_PROXY", "p")], Some("HTTP_PROXY"), None);
    check(&[("HTTPS_PROXY", "p")], None, Some("HTTPS_PROXY"));
    check(&[("ALL_PROXY", "p")], Some("ALL_PROXY"), Some("ALL_PROXY"));
    check(
        &[("ALL_PROXY", "p"), ("https_proxy", "q")],
        Some("ALL_PROXY"),
        Some("https_proxy"),
    );
    check(
        &[("HTTP_PROXY", "p"), ("http_proxy", "q")],
        Some("http_proxy"),
        None,
    );
    check(&[("HTTP_PROXY", "p"), ("http_proxy", "")], None, None);
    check(&[("HTTP_PROXY", " "), ("ALL_PROXY", "")], None, None);
    check(
        &[("HTTP_PROXY", "p"), ("REQUEST_METHOD", "GET")],
        None,
        None,
    );
    check(
        &[("http_proxy", "p"), ("REQUEST_METHOD", "GET")],
        Some("http_proxy"),
        None,
    );
    check(&[("HTTP_PROXY", " http://p:1 ")], Some("HTTP_PROXY"), None);
}

#[test]
fn this_machine_goes_past_the_environment_only() {
    let mut choice = environment(&[("ALL_PROXY", "http://p:1")]);
    let hosts = [
        ("localhost", true),
        ("LOCALHOST", true),
        ("a.localhost", true),
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("[::1]", true),
        ("notlocalhost", false),
        ("128.0.0.1", false),
    ];
    for (host, is_past) in hosts {
        let found = matches!(choice.way(true, host, 1), ProxyWay::Past(_, Past::Loopback));
        assert_eq!(found, is_past, "{host}");
    }
    choice.has_loopback = true;
    for (host, _) in hosts {
        assert!(
            matches!(choice.way(true, host, 1), ProxyWay::Through(_)),
            "{host}"
        );
    }
}

#[test]
fn proxies_are_read() {
    let check = |text: &str, address: &str, credentials: Option<&[u8]>| {
        let proxy = Proxy::parse(text).expect(text);
        assert_eq!(proxy.address(), address, "{text}");
        assert_eq!(proxy.credentials.as_deref(), credentials, "{text}");
        assert!(!format!("{proxy:?}").contains('@'));
    };
    check("http://proxy.example:3128", "proxy.example:3128", None);
    check(" HTTP://proxy.example:3128/ ", "proxy.example:3128", None);
    check("proxy.example:3128", "proxy.example:3128", None);
    check("proxy.example", "proxy.example:1080", None);
    check("http://[::1]:3128", "[::1]:3128", None);
    check("[::1]", "[::1]:1080", None);
    check("::1", "[::1]:1080", None);
    check("http://a:b@p:1", "p:1", Some(b"a:b"));
    check("http://a@p:1", "p:1", Some(b"a"));
    check("http://a:b@c@p:1", "p:1", Some(b"a:b@c"));
    check("http://a:b/c@p:1/x", "p:1", Some(b"a:b/c"));
    check("a:b:c@p:1", "p:1", Some(b"a:b:c"));
    // Decoded once, and any character.
    check("http://a%40x:%3a%2F%25%32@p:1", "p:1", Some(b"a@x::/%2"));
    check("http://a:%2540@p:1", "p:1", Some(b"a:%40"));
    check("http://a:%@p:1", "p:1", Some(b"a:%"));
    check(
        "http://a:%C3%BC\u{fc}@p:1",
        "p:1",
        Some("a:\u{fc}\u{fc}".as_bytes()),
    );
    check("http://a:%FF@p:1", "p:1", Some(b"a:\xff"));
    for text in [
        "",
        "http://",
        "http://:3128",
        "http://p:0",
        "http://p:x",
        "http://p:70000",
        "https://p:1",
        "socks5://p:1",
        "socks5h://p",
        "ftp://p",
        "http://p q",
        "http://a b:c@",
    ] {
        assert!(Proxy::parse(text).is_err(), "{text}");
    }
    assert!(Proxy::parse(&"p".repeat(9000)).is_err());
}

#[test]
fn credentials_are_sent_as_bytes_and_shown_nowhere() {
    let proxy = Proxy::parse("http://Aladdin:open%20sesame@p:1").expect("a proxy");
    let value = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(proxy.authorization().as_deref(), Some(value));
    let secrets = proxy.secrets();
    for secret in ["open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="] {
        assert!(secrets.iter().any(|known| known == secret), "{secret}");
    }
    let alone = Proxy::parse("name@p:1").expect("a proxy");
    assert_eq!(alone.authorization().as_deref(), Some("Basic bmFtZTo="));
    assert_eq!(Proxy::parse("p:1").expect("a proxy").authorization(), None);
}
