//! Builds the page and serves it on this machine:
//!
//! ```text
//! cargo run                      builds, serves on port 8080
//! cargo run -- --port 9000
//! cargo run -- --build FOLDER    builds into a folder, for any server of plain files
//! ```

mod build;
mod http;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "cargo run -- [--build FOLDER] [--port PORT]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut folder: Option<PathBuf> = None;
    let mut port = 8080;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(USAGE)?;
        match arg.as_str() {
            "--build" => folder = Some(value.into()),
            "--port" => port = value.parse().map_err(|_| format!("`{value}` is no port"))?,
            _ => return Err(format!("`{arg}` is not known; {USAGE}").into()),
        }
    }
    match folder {
        Some(folder) => {
            build::page(&folder)?;
            println!("built {}", folder.display());
            Ok(())
        }
        None => {
            let folder = build::target()?.join("page");
            build::page(&folder)?;
            http::serve(&folder, port)
        }
    }
}
