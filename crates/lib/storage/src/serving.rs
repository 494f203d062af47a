//! A small HTTP server for tests: objects in memory, served as a good, a plain or a picky server does.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

/// What the server can do.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// Parts of objects.
    pub ranges: bool,
    /// ETags.
    pub etags: bool,
    /// If-Match, If-None-Match and their like.
    pub conditions: bool,
    /// The length of the answer; without it, the connection's end is the answer's.
    pub lengths: bool,
}

impl Abilities {
    /// Everything.
    pub const GOOD: Self = Self {
        ranges: true,
        etags: true,
        conditions: true,
        lengths: true,
    };
    /// Whole objects with a time, as the simplest servers do.
    pub const PLAIN: Self = Self {
        ranges: false,
        etags: false,
        conditions: false,
        lengths: true,
    };
}

/// One request that came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, PUT, ...
    pub method: String,
    /// What came with it.
    pub body: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    /// The status it was answered with.
    pub status: u16,
}

#[derive(Debug, Clone)]
struct Content {
    bytes: Arc<Vec<u8>>,
    etag: String,
    modified: SystemTime,
}

#[derive(Debug, Default)]
struct World {
    objects: HashMap<String, Content>,
    redirects: HashMap<String, String>,
    requests: Vec<Request>,
    required: Option<(String, String)>,
    /// What calls other than GET are answered with; 202 when there is no more.
    calls: VecDeque<(u16, Vec<u8>)>,
    versions: u64,
}

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct HttpServer {
    port: u16,
    world: Arc<Mutex<World>>,
    stopped: Arc<AtomicBool>,
}

impl HttpServer {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn start(abilities: Abilities) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
        let port = listener
            .local_addr()
            .expect("the address of a listener")
            .port();
        let world = Arc::new(Mutex::new(World::default()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (shared, stop) = (Arc::clone(&world), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let world = Arc::clone(&shared);
                // A client that goes away is its own affair.
                thread::spawn(move || drop(converse(&stream, abilities, &world)));
            }
        });
        Self {
            port,
            world,
            stopped,
        }
    }

    /// The address of a path, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }

    /// Puts an object with a new ETag and the time of an hour ago, plus a second per version.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let age = Duration::from_secs(3600_u64.saturating_sub(self.world().versions + 1));
        self.put_at(path, bytes, SystemTime::now() - age);
    }

    /// Puts an object with a new ETag as if it had been stored then.
    pub fn put_at(&self, path: &str, bytes: &[u8], modified: SystemTime) {
        let mut world = self.world();
        world.versions += 1;
        let content = Content {
            bytes: Arc::new(bytes.to_vec()),
            etag: format!("\"v{}\"", world.versions),
            modified,
        };
        world.objects.insert(path.to_owned(), content);
    }

    /// Removes an object.
    pub fn remove(&self, path: &str) {
        self.world().objects.remove(path);
    }

    /// Answers a path with 302 to an address.
    pub fn redirect(&self, path: &str, to: &str) {
        self.world()
            .redirects
            .insert(path.to_owned(), to.to_owned());
    }

    /// From now on, requests without this header (lower case) and value are answered with 401.
    pub fn require(&self, header: &str, value: &str) {
        self.world().required = Some((header.to_owned(), value.to_owned()));
    }

    /// Answers the next calls that are no GET with these, and all after them with 202.
    pub fn answer_calls(&self, statuses: &[u16]) {
        let calls = statuses.iter().map(|status| (*status, Vec::new()));
        self.world().calls = calls.collect();
    }

    /// Answers one more call that is no GET, with a body.
    pub fn answer_call_with(&self, status: u16, body: &[u8]) {
        self.world().calls.push_back((status, body.to_vec()));
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.world().requests.clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the requests of one connection until the client closes it.
fn converse(stream: &TcpStream, abilities: Abilities, world: &Mutex<World>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let answer = {
            let mut world = locked(world);
            let answer = if method == "GET" {
                answer(&path, &headers, abilities, &world)
            } else {
                let (status, body) = world.calls.pop_front().unwrap_or((202, Vec::new()));
                Answer::with_body(status, body)
            };
            let status = answer.status;
            world.requests.push(Request {
                method,
                body,
                path,
                headers,
                status,
            });
            answer
        };
        answer.send(stream, abilities.lengths)?;
        if !abilities.lengths {
            return Ok(());
        }
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Arc<Vec<u8>>,
    part: std::ops::Range<usize>,
}

impl Answer {
    fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Arc::default(),
            part: 0..0,
        }
    }

    fn with_body(status: u16, body: Vec<u8>) -> Self {
        Self {
            part: 0..body.len(),
            body: Arc::new(body),
            ..Self::empty(status)
        }
    }

    fn send(&self, mut stream: &TcpStream, length: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Answer\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if length {
            head += &format!("content-length: {}\r\n", self.part.len());
        }
        head += "\r\n";
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body[self.part.clone()])
    }
}

fn answer(
    path: &str,
    headers: &HashMap<String, String>,
    abilities: Abilities,
    world: &World,
) -> Answer {
    if let Some((name, value)) = &world.required
        && headers.get(name) != Some(value)
    {
        return Answer::empty(401);
    }
    if let Some(to) = world.redirects.get(path) {
        let mut answer = Answer::empty(302);
        answer.headers.push(("location", to.clone()));
        return answer;
    }
    let Some(content) = world.objects.get(path) else {
        return Answer::empty(404);
    };
    let time = aws_sdk_s3::primitives::DateTime::from(content.modified)
        .fmt(aws_sdk_s3::primitives::DateTimeFormat::HttpDate)
        .unwrap_or_default();
    let is = |header: &str| {
        headers
            .get(header)
            .is_some_and(|mark| *mark == content.etag)
    };
    if abilities.conditions {
        let same_time = headers.get("if-modified-since") == Some(&time);
        if is("if-none-match") || (same_time && !headers.contains_key("if-none-match")) {
            return Answer::empty(304);
        }
        let moved = headers
            .get("if-unmodified-since")
            .is_some_and(|then| *then != time);
        if moved || (headers.contains_key("if-match") && !is("if-match")) {
            return Answer::empty(412);
        }
    }
    let size = content.bytes.len();
    let mut answer = Answer::empty(200);
    answer.body = Arc::clone(&content.bytes);
    answer.part = 0..size;
    answer.headers.push(("last-modified", time));
    if abilities.etags {
        answer.headers.push(("etag", content.etag.clone()));
    }
    let range = headers.get("range").filter(|_| abilities.ranges);
    let Some((start, end)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return answer;
    };
    let start = start.parse().unwrap_or(usize::MAX);
    let end = end
        .parse()
        .map_or(size, |end: usize| end.saturating_add(1).min(size));
    if start >= size {
        let mut answer = Answer::empty(416);
        answer
            .headers
            .push(("content-range", format!("bytes */{size}")));
        return answer;
    }
    answer.status = 206;
    answer.part = start..end;
    answer
        .headers
        .push(("content-range", format!("bytes {start}-{}/{size}", end - 1)));
    answer
}
