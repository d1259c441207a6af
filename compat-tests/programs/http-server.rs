//! An HTTP server for clients outside the machine: threads that share a listener, connections that
//! are kept.
// compat: client=http-server.client.sh publish=8080 timeout=90
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn serve(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next().transpose()? {
        let mut keep = request.ends_with("HTTP/1.1");
        for header in lines.by_ref() {
            let header = header?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            keep &= header != "connection: close";
        }
        let status = if request.starts_with("GET / ") { "200 OK" } else { "404 Not Found" };
        let connection = if keep { "keep-alive" } else { "close" };
        write!(out, "HTTP/1.1 {status}\r\nContent-Length: 6\r\nConnection: {connection}\r\n\r\nhello\n")?;
        if !keep {
            break;
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let listener = TcpListener::bind("[::]:8080")?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            // The client may leave at any time.
            let _ = serve(stream);
        });
    }
    Ok(())
}
