//! The `channelwise` program: one kernel applied to every channel of a file, and what this machine
//! offers for it.
//!
//! ```text
//! args ── values, presets        what was asked for
//!   │
//!  run ── outputs, request       which files, and what convolution
//!   ├── streamed                 larger than memory, from array to array
//!   │
//!   └──── files ── out_type ── job ── pixels ── compute ── verify, clipped ── report
//!                                               expected: the definition, for these three
//!  info, kernels                 the other two commands
//! ```

mod args;
mod clipped;
mod compute;
mod expected;
mod failure;
mod files;
mod info;
mod job;
mod kernels;
mod more;
mod out_type;
mod outputs;
mod pixels;
mod presets;
mod progress;
mod report;
mod request;
mod run;
mod streamed;
mod streamed_pixels;
mod values;
mod verify;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use failure::{Failure, say};

fn main() -> ExitCode {
    // A defect, ours or a decoder's, still ends in one line and unwinds, so that no temporary file
    // stays behind.
    panic::set_hook(Box::new(|defect| {
        if !channelwise::store::is_guarded() {
            say(&format!("internal error: {defect}"));
        }
    }));
    match panic::catch_unwind(AssertUnwindSafe(start)) {
        Ok(code) => code,
        Err(_) => ExitCode::from(1),
    }
}

fn start() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            // Nobody may be reading any more.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return Failure::from(error).tell(),
    };
    let done = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Info => info::info(),
        Command::Kernels => kernels::kernels(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}
