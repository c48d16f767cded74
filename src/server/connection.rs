//! A client's connection. Below HTTP and TLS it is seen to that nobody holds one for ever: the HTTP library limits the time of
//! the first head on a connection and of silence between requests, and neither of a later head that has begun and does not end,
//! nor of a body that nobody reads.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Between two lines that say the same.
const SAID_FOR: Duration = Duration::from_mins(1);

/// How long clients may make this server wait.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimeouts {
    /// From the first byte of a request to the first of its answer.
    pub request: Duration,
    /// Between an answer and anything else.
    pub silence: Duration,
}

/// Those who are connected at one address, and how many there may be.
#[derive(Debug)]
pub struct Connections {
    allowed: usize,
    connected: AtomicUsize,
    said_at: Mutex<Option<Instant>>,
}

impl Connections {
    pub fn at_most(allowed: usize) -> Arc<Self> {
        Arc::new(Self { allowed, connected: AtomicUsize::new(0), said_at: Mutex::new(None) })
    }

    fn enter(self: &Arc<Self>) -> ConnectionSlot {
        if self.connected.fetch_add(1, Ordering::Relaxed) + 1 >= self.allowed {
            self.say_full();
        }
        ConnectionSlot(Arc::clone(self))
    }

    /// The last place is taken and left again all the time in a crowd.
    fn say_full(&self) {
        let mut said_at = self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        if said_at.is_none_or(|at| at.elapsed() >= SAID_FOR) {
            *said_at = Some(Instant::now());
            tracing::warn!(
                event = "connections_exhausted",
                allowed = self.allowed,
                "more clients wait until some have gone; the limit on open files decides how many there may be"
            );
        }
    }
}

/// A client's place among them.
struct ConnectionSlot(Arc<Connections>);

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that ends, as if the client had closed it, when a timeout expires.
pub struct Connection {
    stream: TcpStream,
    timeouts: ConnectionTimeouts,
    /// Something was read since the last answer.
    is_asked: bool,
    /// The client takes nothing at the moment. Until it does, nothing is taken from it: what it sends ahead would be kept here.
    is_stuck: bool,
    is_put_off: bool,
    end: Pin<Box<Sleep>>,
    _place: ConnectionSlot,
}

impl Connection {
    pub fn new(stream: TcpStream, timeouts: ConnectionTimeouts, clients: &Arc<Connections>) -> Self {
        let end = Box::pin(sleep(timeouts.silence));
        Self {
            stream,
            timeouts,
            is_asked: false,
            is_stuck: false,
            is_put_off: false,
            end,
            _place: clients.enter(),
        }
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    fn record_written(&mut self, cx: &Context<'_>, written: &Poll<io::Result<usize>>) {
        self.is_stuck = written.is_pending();
        if self.is_stuck {
            return;
        }
        if std::mem::take(&mut self.is_put_off) {
            cx.waker().wake_by_ref();
        }
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.is_asked = false;
            self.end.as_mut().reset(Instant::now() + self.timeouts.silence);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_stuck {
            self.is_put_off = true;
            return self.end.as_mut().poll(cx).map(Ok);
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending => self.end.as_mut().poll(cx).map(Ok),
            read @ Poll::Ready(_) => {
                if !self.is_asked && buf.filled().len() > before {
                    self.is_asked = true;
                    let end = Instant::now() + self.timeouts.request;
                    self.end.as_mut().reset(end);
                }
                read
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.record_written(cx, &written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.record_written(cx, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl ActixStream for Connection {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair(request: u64, silence: u64) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let timeouts = ConnectionTimeouts {
            request: Duration::from_millis(request),
            silence: Duration::from_millis(silence),
        };
        (Connection::new(stream, timeouts, &Connections::at_most(1)), client)
    }

    #[tokio::test]
    async fn what_has_begun_and_does_not_end_is_over_soon_and_what_comes_meanwhile_puts_nothing_off() {
        let (mut connection, mut client) = pair(200, 60_000).await;
        let begun = Instant::now();
        let dripping = tokio::spawn(async move {
            while client.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        while connection.read_u8().await.is_ok() {}
        assert!((200..20_000).contains(&begun.elapsed().as_millis()));
        dripping.abort();
    }

    #[tokio::test]
    async fn an_answer_gives_new_time() {
        let (mut connection, mut client) = pair(200, 60_000).await;
        client.write_all(b"G").await.unwrap();
        connection.read_u8().await.unwrap();
        connection.write_all(b"answer").await.unwrap();
        let asleep = tokio::time::timeout(Duration::from_millis(600), connection.read_u8()).await;
        assert!(asleep.is_err(), "it was only quiet");
    }

    #[tokio::test]
    async fn silence_is_borne_for_its_time() {
        let (mut connection, _client) = pair(60_000, 200).await;
        let begun = Instant::now();
        assert!(connection.read_u8().await.is_err());
        assert!(begun.elapsed().as_millis() >= 200);
    }

    #[tokio::test]
    async fn whoever_goes_leaves_a_place() {
        let clients = Connections::at_most(2);
        let places = [clients.enter(), clients.enter()];
        assert!(clients.said_at.lock().unwrap().is_some(), "the last place was taken");
        drop(places);
        assert_eq!(clients.connected.load(Ordering::Relaxed), 0);
    }
}
