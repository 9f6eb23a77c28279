//! As much of a web server as a page on one's own machine needs.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a request that are read at most.
const LONGEST: u64 = 16 << 10;

struct File {
    kind: &'static str,
    contents: Vec<u8>,
}

/// By the path that is asked for.
type Files = HashMap<String, File>;

/// Serves the files of `folder`, as they are now, until it is stopped.
pub fn serve(folder: &Path, port: u16) -> Result<(), Box<dyn Error>> {
    let files = Arc::new(read(folder)?);
    // Browsers give WebGPU to pages of this machine, as they do to those that come by https.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| format!("port {port}: {error}; `--port` takes another"))?;
    println!("http://localhost:{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let files = Arc::clone(&files);
        // A browser that goes away is no error.
        std::thread::spawn(move || stream.and_then(|stream| answer(stream, &files)));
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Files, Box<dyn Error>> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let (Some(name), true) = (path.file_name().and_then(|name| name.to_str()), path.is_file())
        else {
            continue;
        };
        let kind = match path.extension().and_then(|extension| extension.to_str()) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("wasm") => "application/wasm",
            _ => "application/octet-stream",
        };
        files.insert(format!("/{name}"), File { kind, contents: fs::read(&path)? });
    }
    Ok(files)
}

fn answer(mut stream: TcpStream, files: &Files) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = BufReader::new((&stream).take(LONGEST));
    let mut first = String::new();
    request.read_line(&mut first)?;
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let path = if path == "/" { "/index.html" } else { path };
    let text = |status, message: &str| {
        (status, File { kind: "text/plain", contents: message.as_bytes().to_vec() })
    };
    let missing;
    let (status, file) = match (method, files.get(path)) {
        ("GET" | "HEAD", Some(file)) => ("200 OK", file),
        ("GET" | "HEAD", None) => {
            missing = text("404 Not Found", "not here");
            (missing.0, &missing.1)
        }
        _ => {
            missing = text("405 Method Not Allowed", "GET and HEAD only");
            (missing.0, &missing.1)
        }
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        file.kind,
        file.contents.len()
    )?;
    if method != "HEAD" {
        stream.write_all(&file.contents)?;
    }
    stream.flush()
}
