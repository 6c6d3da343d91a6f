//! Tests of the canned server. Its answers are read with the program's own
//! decoders, which the server itself does not know.

mod requests {
    use super::super::answers::AskedFor;
    use super::super::request::{CannedReader, Unreadable};

    const CALL: &str = r#"{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"id":1}}"#;

    fn post(body: &str) -> String {
        let n_bytes = body.len();
        format!("POST /mcp HTTP/1.1\r\nHost: h\r\ncontent-LENGTH: {n_bytes}\r\n\r\n{body}")
    }

    fn check(http: &str, asked: AskedFor, id: &str) {
        let mut reader = CannedReader::default();
        // The second time the head is known.
        for _ in 0..2 {
            for cut in 0..http.len() {
                assert_eq!(reader.read(&http.as_bytes()[..cut]), Ok(None), "at {cut}");
            }
            let (used, request) = reader
                .read(format!("{http}POST").as_bytes())
                .expect("readable")
                .expect("complete");
            assert_eq!(used, http.len());
            assert_eq!(request.asked, asked);
            assert_eq!(request.id.as_bytes(), id.as_bytes());
        }
    }

    #[test]
    fn a_request_is_found_at_every_cut() {
        check(&post(CALL), AskedFor::CallTool, "42");
        let initialize = CALL.replace("tools/call", "initialize");
        check(&post(&initialize), AskedFor::Initialize, "42");
        let notice = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        check(&post(notice), AskedFor::Nothing, "");
        let answer = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
        check(&post(answer), AskedFor::Nothing, "");
        let delete = "DELETE /mcp HTTP/1.1\r\n\r\n";
        check(delete, AskedFor::EndOfSession, "");
        check("GET /mcp HTTP/1.1\r\n\r\n", AskedFor::OtherHttpMethod, "");
    }

    #[test]
    fn another_head_is_looked_at_again() {
        let mut reader = CannedReader::default();
        for method in ["tools/call", "ping", "tools/list", "tools/call"] {
            let http = post(&CALL.replace("tools/call", method));
            let (used, request) = reader
                .read(http.as_bytes())
                .expect("readable")
                .expect("complete");
            assert_eq!(used, http.len());
            assert_eq!(
                request.asked,
                AskedFor::of_method(format!("{method}\"").as_bytes())
            );
        }
    }

    #[test]
    fn what_has_no_plain_length_is_refused() {
        for header in ["Transfer-Encoding: chunked", "Content-Length: 99999999999"] {
            let http = format!("POST / HTTP/1.1\r\n{header}\r\n\r\n");
            let read = CannedReader::default().read(http.as_bytes());
            assert_eq!(read, Err(Unreadable), "{header}");
        }
    }
}

mod answers {
    use super::super::answers::{AnswerFraming, AskedFor, CannedAnswers};
    use crate::protocol::{Dialect, Expect, Method, Reply, read_json_reply};

    /// The body of an answer with a length, which must be the right one.
    fn body_of(http: &[u8]) -> String {
        let text = String::from_utf8(http.to_vec()).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .expect("a length");
        assert_eq!(length.parse(), Ok(body.len()));
        body.to_string()
    }

    fn answer(framing: AnswerFraming, asked: AskedFor, id: u64) -> Vec<u8> {
        let mut out = Vec::new();
        CannedAnswers::new(framing, 20).write(asked, id.to_string().as_bytes(), &mut out);
        out
    }

    #[test]
    fn answers_are_right_for_ids_of_any_length() {
        for id in [0, 9, 10, 12_345, u64::MAX] {
            let body = body_of(&answer(AnswerFraming::Json, AskedFor::CallTool, id));
            let expect = Expect::reply(id, Method::CallTool);
            let answer = read_json_reply(body.as_bytes(), &expect).expect("an answer");
            assert_eq!(answer.reply, Reply::Complete);
        }
    }

    #[test]
    fn both_eras_find_what_they_open_with() {
        let welcome = body_of(&answer(AnswerFraming::Json, AskedFor::Initialize, 1));
        let expect = Expect::result(1, None);
        let result = read_json_reply(welcome.as_bytes(), &expect)
            .expect("an answer")
            .result
            .expect("kept");
        assert!(Dialect::read_initialize(result).is_ok());
        let discovery = body_of(&answer(AnswerFraming::Json, AskedFor::Discover, 1));
        let result = read_json_reply(discovery.as_bytes(), &expect)
            .expect("an answer")
            .result
            .expect("kept");
        let discovery = Dialect::read_discover(result).expect("a discovery");
        assert!(discovery.best().is_some());
    }

    #[test]
    fn a_stream_is_one_chunk_of_the_right_length() {
        for id in [7, 1_234_567] {
            let http = answer(AnswerFraming::EventStream, AskedFor::CallTool, id);
            let text = String::from_utf8(http).expect("UTF-8");
            let (_, body) = text.split_once("\r\n\r\n").expect("a head");
            let (size, rest) = body.split_once("\r\n").expect("a chunk");
            let size = usize::from_str_radix(size, 16).expect("a size");
            assert_eq!(&rest[size..], "\r\n0\r\n\r\n");
            assert!(rest.starts_with("event: message\ndata: {"));
            assert!(rest[..size].ends_with("}\n\n"));
        }
    }

    #[test]
    fn without_an_id_there_is_no_message() {
        let answers = CannedAnswers::new(AnswerFraming::Json, 20);
        for (asked, status) in [
            (AskedFor::Nothing, "202"),
            (AskedFor::EndOfSession, "200"),
            (AskedFor::OtherHttpMethod, "405"),
            (AskedFor::CallTool, "400"),
        ] {
            let mut out = Vec::new();
            answers.write(asked, b"", &mut out);
            let start = format!("HTTP/1.1 {status} ");
            assert!(out.starts_with(start.as_bytes()), "{asked:?}");
        }
    }
}

mod server {
    use super::super::answers::{AnswerFraming, BAD_REQUEST};
    use super::super::{CannedServer, Options};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    const BODY: &str = r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{}}"#;

    fn request() -> String {
        let n_bytes = BODY.len();
        format!("POST /mcp HTTP/1.1\r\nContent-Length: {n_bytes}\r\n\r\n{BODY}")
    }

    /// Serves while `client` runs, which gets a connection.
    fn with_server(options: Options, client: impl FnOnce(TcpStream)) {
        let server = CannedServer::bind(options).expect("a server");
        let waker = server.waker();
        let url = server.url();
        let address = url
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix("/mcp"))
            .expect("such a URL");
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| server.serve());
            client(TcpStream::connect(address).expect("connects"));
            waker.wake().expect("wakes");
            serving.join().expect("no panic").expect("no error");
        });
    }

    fn read_answers(client: &mut TcpStream, n_answers: usize) {
        let mut text = String::new();
        let mut bytes = [0; 4096];
        while text.matches("HTTP/1.1 200").count() < n_answers || !text.ends_with("}}") {
            let n_bytes = client.read(&mut bytes).expect("reads");
            assert!(n_bytes > 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&bytes[..n_bytes]).expect("UTF-8"));
        }
        assert_eq!(text.matches(r#""id":8,"result""#).count(), n_answers);
    }

    const AT_ONCE: Options = Options {
        framing: AnswerFraming::Json,
        delay: Duration::ZERO,
    };

    #[test]
    fn requests_are_answered_whole_cut_and_pipelined() {
        with_server(AT_ONCE, |mut client| {
            let request = request();
            client.write_all(request.as_bytes()).expect("writes");
            read_answers(&mut client, 1);
            let (start, end) = request.split_at(30);
            client.set_nodelay(true).expect("sets it");
            client.write_all(start.as_bytes()).expect("writes");
            client.write_all(end.as_bytes()).expect("writes");
            read_answers(&mut client, 1);
            client
                .write_all(request.repeat(500).as_bytes())
                .expect("writes");
            read_answers(&mut client, 500);
        });
    }

    #[test]
    fn an_answer_waits_for_its_delay() {
        let delay = Duration::from_millis(20);
        with_server(Options { delay, ..AT_ONCE }, |mut client| {
            let start = crate::clock::now();
            client.write_all(request().as_bytes()).expect("writes");
            read_answers(&mut client, 1);
            assert!(start.elapsed() >= delay);
        });
    }

    #[test]
    fn a_request_that_cannot_be_read_ends_the_connection() {
        with_server(AT_ONCE, |mut client| {
            let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.write_all(chunked).expect("writes");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).expect("reads");
            assert_eq!(answer, BAD_REQUEST);
        });
    }
}

mod threads {
    use super::super::{AnswerFraming, Options, ServerThread};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    const OPTIONS: Options = Options {
        framing: AnswerFraming::Json,
        delay: Duration::ZERO,
    };

    fn address(server: &ServerThread) -> String {
        let url = server.url().strip_prefix("http://").expect("such a URL");
        url.trim_end_matches("/mcp").to_string()
    }

    #[test]
    fn it_serves_until_it_is_dropped() {
        let is_closed = || {
            let server = ServerThread::start(OPTIONS, None).expect("a server");
            assert_eq!(server.cpu(), None);
            let address = address(&server);
            let mut client = TcpStream::connect(&address).expect("connects");
            client
                .write_all(b"GET /mcp HTTP/1.1\r\n\r\n")
                .expect("writes");
            let mut answer = [0; 12];
            client.read_exact(&mut answer).expect("reads");
            assert_eq!(&answer, b"HTTP/1.1 405");
            drop(server);
            let mut rest = Vec::new();
            // Closed in good order or reset, but closed.
            let _ = client.read_to_end(&mut rest);
            // A process that another test starts holds all sockets for a moment.
            (0..5_000).any(|_| {
                std::thread::yield_now();
                TcpStream::connect(&address).is_err()
            })
        };
        // Another test may be given the port before we look at it.
        assert!((0..3).any(|_| is_closed()), "still listening");
    }

    #[test]
    #[cfg(all(target_os = "linux", not(pmcp_portable)))]
    fn it_keeps_to_its_cpu_and_tells_its_time() {
        let allowed = core_affinity::get_core_ids().expect("CPUs");
        let cpu = allowed.first().expect("one").id;
        let server = ServerThread::start(OPTIONS, Some(cpu)).expect("a server");
        assert_eq!(server.cpu(), Some(cpu));
        let before = server.cpu_time();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address(&server)).expect("connects");
            client
                .write_all(b"DELETE / HTTP/1.1\r\n\r\n")
                .expect("writes");
            let mut answer = [0; 12];
            client.read_exact(&mut answer).expect("reads");
        }
        assert!(server.cpu_time() > before, "{before:?}");
        server.stop().expect("no error");
        // No CPU of that number: it serves all the same, and says so.
        let unpinned = ServerThread::start(OPTIONS, Some(100_000)).expect("a server");
        assert_eq!(unpinned.cpu(), None);
    }
}
