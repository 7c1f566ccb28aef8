//! HTTP/1.1 by hand: what is sent is sent byte for byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::server::Server;

/// Longer than each deadline of the server.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct Connection(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(server: SocketAddr) -> io::Result<Self> {
        Self::of(TcpStream::connect(server)?)
    }

    /// From an address of its own, with `receive_bytes` of buffer where that is said.
    pub(crate) fn open_from(
        from: IpAddr,
        server: SocketAddr,
        receive_bytes: Option<usize>,
    ) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        socket
            .bind(&SockAddr::from(SocketAddr::new(from, 0)))
            .unwrap();
        socket.connect(&SockAddr::from(server)).unwrap();
        Self::of(socket.into()).unwrap()
    }

    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// One answer, which has a `content-length`.
    pub(crate) fn answer(&mut self) -> Result<Answer, String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head);
            if read.map_err(|error| format!("{error} after {head:?}"))? == 0 {
                return Err(format!("closed after {head:?}"));
            }
        }
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        let status = status.ok_or_else(|| format!("no status in {head:?}"))?;
        let head = head.to_lowercase();
        let length = head.split("\r\ncontent-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        let read = self.0.read_exact(&mut body);
        read.map_err(|error| format!("{error} in the body behind {head}"))?;
        Ok(Answer { status, head, body })
    }

    /// Everything until the server closes or resets; an error where it does neither.
    pub(crate) fn until_closed(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Err(format!("open after {PATIENCE:?}: {text}"))
            }
            // Closed with bytes of ours unread, it is reset: what came before counts.
            Ok(_) | Err(_) => Ok(bytes),
        }
    }

    /// Whether the server has closed, looked at without waiting.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.peek() {
            Ok(read) => read == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Whether the server has said something that was not taken yet.
    pub(crate) fn has_more(&mut self) -> bool {
        self.peek().is_ok_and(|read| read > 0)
    }

    fn peek(&mut self) -> io::Result<usize> {
        let stream = self.0.get_mut();
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        peeked
    }

    /// Takes up to so many bytes that are there.
    pub(crate) fn take(&mut self, bytes: usize) -> io::Result<usize> {
        self.0.get_mut().read(&mut vec![0; bytes])
    }
}

/// A request with a token.
pub(crate) fn request(
    method: &str,
    path: &str,
    token: &str,
    body: Option<(&str, &str)>,
) -> Vec<u8> {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nhost: narrowcast\r\nauthorization: Bearer {token}\r\n"
    );
    if let Some((content_type, body)) = body {
        text.push_str(&format!(
            "content-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
    } else {
        text.push_str("\r\n");
    }
    text.into_bytes()
}

impl Server {
    /// One request on a connection of its own.
    pub(crate) fn ask(&self, request: &[u8]) -> Answer {
        let mut connection = Connection::open(self.http).unwrap();
        connection.send(request).unwrap();
        connection.answer().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.success(&request("GET", path, &self.token, None))
    }

    /// A counter; 0 where it has not begun.
    pub(crate) fn metric(&self, series: &str) -> usize {
        let metrics = request("GET", "/metrics", &self.token, None);
        let metrics = String::from_utf8(self.ask(&metrics).body).unwrap();
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let body = Some(("application/json", body.as_str()));
        self.success(&request("POST", path, &self.token, body))
    }

    /// Enters devices that are all of the one type.
    pub(crate) fn enter(&self, endpoints: impl Iterator<Item = String>) {
        let mut csv = "endpoint,manufacturer,model,device_type\n".to_owned();
        for endpoint in endpoints {
            let quoted = endpoint.replace('"', "\"\"");
            csv.push_str(&format!("\"{quoted}\",Acme,NB-1,WaterMeter\n"));
        }
        let body = Some(("text/csv", csv.as_str()));
        let path = "/api/v1/devices/import";
        self.success(&request("POST", path, &self.token, body));
    }

    pub(crate) fn success(&self, request: &[u8]) -> Value {
        let answer = self.ask(request);
        let text = String::from_utf8(answer.body).unwrap();
        assert!(
            (200..300).contains(&answer.status),
            "{}: {text}",
            answer.head
        );
        serde_json::from_str(&text).unwrap()
    }
}
