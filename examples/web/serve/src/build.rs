//! From sources to a folder of plain files.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// The folder of the page's package.
fn package() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Cargo's target folder: this program lies in `target/debug`.
pub fn target() -> Result<PathBuf, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let folder = program.ancestors().nth(2).ok_or("this program lies in no target folder")?;
    Ok(folder.to_path_buf())
}

/// Builds the page into `folder`.
pub fn page(folder: &Path) -> Result<(), Box<dyn Error>> {
    let target = target()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    // The flags for SIMD are found from the folder that cargo runs in.
    let status = Command::new(cargo)
        .current_dir(package())
        .args(["build", "--release", "--locked", "--package", "channelwise-web"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target)
        .status()?;
    if !status.success() {
        let hint = format!("if `core` was not found: rustup target add {TARGET}");
        return Err(format!("the library could not be built; {hint}").into());
    }
    let wasm = target.join(TARGET).join("release/channelwise_web.wasm");
    fs::create_dir_all(folder)?;
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(&wasm)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .omit_default_module_path(false)
        .generate(folder)?;
    for file in fs::read_dir(package().join("page"))? {
        let file = file?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    Ok(())
}
