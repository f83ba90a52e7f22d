//! Both ends of a path of spans: who sends them, and where they arrive.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::GzDecoder;

const PATIENCE: Duration = Duration::from_secs(60);

/// Takes whatever it is sent, and counts the bytes of spans.
pub(super) struct Sink {
    pub(super) port: u16,
    bytes: Arc<AtomicU64>,
}

impl Sink {
    pub(super) fn start() -> Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let sink = Sink { port: listener.local_addr()?.port(), bytes: Arc::default() };
        let bytes = Arc::clone(&sink.bytes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let bytes = Arc::clone(&bytes);
                // Senders come and go.
                thread::spawn(move || drop(serve(stream, &bytes)));
            }
        });
        Ok(sink)
    }

    pub(super) fn has(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    pub(super) fn until(&self, bytes: u64, pause: Duration) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.has() < bytes {
            if Instant::now() > deadline {
                bail!("{} bytes never arrived", bytes - self.has());
            }
            thread::sleep(pause);
        }
        Ok(())
    }
}

fn serve(stream: TcpStream, bytes: &AtomicU64) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut body = Vec::new();
    loop {
        let Head { first, len, is_compressed } = head(&mut stream)?;
        body.resize(len, 0);
        stream.read_exact(&mut body)?;
        if first.starts_with("POST /v1/traces") {
            let len = if is_compressed {
                io::copy(&mut GzDecoder::new(&*body), &mut io::sink())?
            } else {
                len as u64
            };
            bytes.fetch_add(len, Ordering::Release);
        }
        stream.get_mut().write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n",
        )?;
    }
}

/// What comes before the body of a request or an answer.
#[derive(Default)]
struct Head {
    first: String,
    len: usize,
    is_compressed: bool,
}

fn head(from: &mut BufReader<TcpStream>) -> Result<Head> {
    let mut head = Head::default();
    ensure!(from.read_line(&mut head.first)? > 0, "the other end has left");
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line)? <= 2 {
            return Ok(head);
        }
        match line.to_lowercase().split_once(':') {
            Some(("content-length", value)) => head.len = value.trim().parse().context("a length")?,
            Some(("content-encoding", value)) => head.is_compressed = value.trim() == "gzip",
            _ => {}
        }
    }
}

/// One after the other on one connection.
pub(super) struct Sender(BufReader<TcpStream>);

impl Sender {
    pub(super) fn connect(port: u16) -> Result<Sender> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Sender(BufReader::new(stream)))
    }

    /// Again, as long as there is no room for it.
    pub(super) fn send(&mut self, body: &[u8]) -> Result<()> {
        let mut request = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        loop {
            self.0.get_mut().write_all(&request)?;
            let Head { first, len, .. } = head(&mut self.0)?;
            self.0.read_exact(&mut vec![0; len])?;
            match first.split(' ').nth(1) {
                Some("200") => return Ok(()),
                Some("503" | "429") => thread::sleep(Duration::from_millis(5)),
                _ => bail!("it answered {first}"),
            }
        }
    }
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut len = bytes.len();
    while len >= 0x80 {
        field.push(len as u8 | 0x80);
        len >>= 7;
    }
    field.push(len as u8);
    field.extend_from_slice(bytes);
    field
}

fn pair(key: &str, value: &str) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat()
}

/// A request of so many spans of a web service; no two of them are one.
pub(super) fn request(number: u64, spans: u64) -> Vec<u8> {
    let attributes: Vec<u8> = [
        ("http.request.method", "GET"),
        ("url.full", "http://shop.example:8080/cart/items?user=4711"),
        ("server.address", "shop.example"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
    ]
    .iter()
    .flat_map(|(key, value)| field(9, &pair(key, value)))
    .collect();
    let mut all = Vec::new();
    for n in 0..spans {
        // Never zero.
        let id = (number * spans + n + 1).to_be_bytes();
        let mut span = [field(1, &[id, id].concat()), field(2, &id), field(5, b"GET /cart/{item}")].concat();
        for tag in [7_u8, 8] {
            span.push(tag << 3 | 1);
            span.extend_from_slice(&(1_700_000_000_000_000_000_u64 + n).to_le_bytes());
        }
        span.extend_from_slice(&attributes);
        all.extend(field(2, &span));
    }
    let resource = field(1, &pair("service.name", "shop"));
    let scope = field(1, &field(1, b"bench"));
    field(1, &[field(1, &resource), field(2, &[scope, all].concat())].concat())
}
