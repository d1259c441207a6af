//! An HTTP server on tokio: a task for each connection on the runtime's threads, bodies both ways,
//! timers, files on the threads for blocking work, and an orderly end by SIGTERM.
//!
//! `/` says hello, `/sleep` does so after a while, `/program` is this program's own file, and a
//! `POST` comes back.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// How long a kept connection may say nothing.
const IDLE: Duration = Duration::from_secs(30);
/// The longest body.
const MOST: usize = 64 << 20;

/// The head of a request.
#[derive(Default)]
struct Request {
    post: bool,
    path: String,
    length: usize,
    close: bool,
}

/// Reads a head; `None` at the connection's end.
async fn read_head(stream: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let mut line = String::new();
    let first = timeout(IDLE, stream.read_line(&mut line)).await.map_err(|_| ErrorKind::TimedOut)?;
    if first? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(ErrorKind::InvalidData.into());
    };
    let mut request =
        Request { post: method == "POST", path: path.into(), close: version != "HTTP/1.1", ..Request::default() };
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let header = line.trim_end().to_ascii_lowercase();
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            None => return Ok(Some(request)),
            Some(("content-length", n)) => {
                request.length = n.parse().ok().filter(|n| *n <= MOST).ok_or(ErrorKind::InvalidData)?;
            }
            Some(("connection", "close")) => request.close = true,
            Some(("expect", "100-continue")) => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?,
            Some(_) => {}
        }
    }
}

async fn serve(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_head(&mut stream).await? {
        let mut body = vec![0; request.length];
        stream.read_exact(&mut body).await?;
        let (status, body) = match (request.post, request.path.as_str()) {
            (true, _) => ("200 OK", body),
            (_, "/") => ("200 OK", b"hello\n".to_vec()),
            (_, "/sleep") => {
                sleep(Duration::from_millis(200)).await;
                ("200 OK", b"hello\n".to_vec())
            }
            (_, "/program") => ("200 OK", tokio::fs::read("/proc/self/exe").await?),
            _ => ("404 Not Found", Vec::new()),
        };
        let connection = if request.close { "close" } else { "keep-alive" };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).await?;
        if request.close {
            break;
        }
    }
    stream.shutdown().await
}

#[tokio::main]
async fn main() -> Result<()> {
    let port = std::env::args().nth(1).unwrap_or("8080".into()).parse().map_err(Error::other)?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let mut end = signal(SignalKind::terminate())?;
    println!("listening");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(async move {
                    // A client that goes away is its own business.
                    let _ = serve(stream).await;
                });
            }
            _ = end.recv() => break,
        }
    }
    println!("ended");
    Ok(())
}
