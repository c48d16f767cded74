//! One HTTP/1.1 connection of which every byte is ours, for clients that do not behave.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{Failure, Outcome, ensure};

const CONNECTS_WITHIN: Duration = Duration::from_secs(15);

/// Descriptors of this process that are no connection of the crowd.
const DESCRIPTORS_KEPT: u64 = 500;

/// A connection. When it is dropped it is reset, so that its port is free again at once.
pub struct Raw {
    stream: TcpStream,
    pub connected_at: Instant,
    /// What was read and does not belong to an answer yet.
    held: Vec<u8>,
}

/// An answer as it came.
pub struct RawAnswer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// The address behind `http://…`.
pub fn address_of(base: &str) -> Outcome<SocketAddr> {
    Ok(base.trim_start_matches("http://").parse()?)
}

/// Lets this process hold so many connections.
pub fn may_hold(connections: usize) -> Outcome {
    let needed = connections as u64 + DESCRIPTORS_KEPT;
    let limit = getrlimit(Resource::Nofile);
    if let Some(most) = limit.maximum.filter(|most| *most < needed) {
        return Err(Failure::new(format!(
            "this drill needs {needed} descriptors for itself and as many for the server, and the hard limit here is {most}: \
             please raise it (ulimit -Hn)"
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Outcome<Self> {
        Self::connect_with(address, None).await
    }

    /// With as little room for answers as the system allows.
    pub async fn connect_narrow(address: SocketAddr) -> Outcome<Self> {
        Self::connect_with(address, Some(1024)).await
    }

    async fn connect_with(address: SocketAddr, receives: Option<u32>) -> Outcome<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receives {
            socket.set_recv_buffer_size(bytes)?;
        }
        let connecting = tokio::time::timeout(CONNECTS_WITHIN, socket.connect(address)).await;
        let stream = connecting.map_err(|_| Failure::new("a connection was not made in time"))??;
        stream.set_zero_linger()?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, connected_at: Instant::now(), held: Vec::new() })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Outcome {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Sends one byte every so often until the other side answers or closes; what it said, if anything.
    pub async fn drip(&mut self, byte: u8, every: Duration, at_most: Duration) -> Outcome<Vec<u8>> {
        let begun = Instant::now();
        let mut said = vec![0; 4096];
        while begun.elapsed() < at_most {
            tokio::select! {
                read = self.stream.read(&mut said) => {
                    said.truncate(read.unwrap_or(0));
                    return Ok(said);
                }
                () = tokio::time::sleep(every) => {
                    if self.stream.write_all(&[byte]).await.is_err() {
                        return Ok(Vec::new());
                    }
                }
            }
        }
        Err(Failure::new(format!("neither answered nor closed after {at_most:?}")))
    }

    /// Asks with a whole request, and reads the answer to its end.
    pub async fn ask(&mut self, request: &str) -> Outcome<RawAnswer> {
        self.send(request.as_bytes()).await?;
        self.answer().await
    }

    pub async fn get(&mut self, path: &str) -> Outcome<RawAnswer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: drill\r\n\r\n")).await
    }

    pub async fn post(&mut self, path: &str, body: &serde_json::Value) -> Outcome<RawAnswer> {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: drill\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.ask(&(head + &body)).await
    }

    async fn answer(&mut self) -> Outcome<RawAnswer> {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await?;
        };
        let head = String::from_utf8_lossy(&self.held[..end]).to_ascii_lowercase();
        let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let (Some(status), Some(length)) = (status, length) else {
            return Err(Failure::new(format!("a strange answer: {head}")));
        };
        let length: usize = length;
        while self.held.len() < end + length {
            self.read_more().await?;
        }
        let body = self.held[end..end + length].to_vec();
        self.held.drain(..end + length);
        Ok(RawAnswer { status, body })
    }

    async fn read_more(&mut self) -> Outcome {
        let read = self.stream.read_buf(&mut self.held).await?;
        ensure!(read > 0, "closed in the middle of an answer");
        Ok(())
    }

    /// Reads and throws away until the other side closes; how long that took.
    pub async fn closes_within(&mut self, limit: Duration) -> Outcome<Duration> {
        let begun = Instant::now();
        let mut thrown = vec![0; 4096];
        let closed = async { while matches!(self.stream.read(&mut thrown).await, Ok(1..)) {} };
        let in_time = tokio::time::timeout(limit, closed).await;
        in_time.map_err(|_| Failure::new(format!("still open after {limit:?}")))?;
        Ok(begun.elapsed())
    }
}
