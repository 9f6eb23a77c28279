//! Compiles shaders as planned for GPUs that are not there; see README.md, and run.sh and check.sh,
//! which call this.

mod chips;
mod pair;
mod table;
mod vulkan;

use std::path::Path;
use std::process::ExitCode;

use chips::{CHIPS, Chip, Figures};
use naga::back::hlsl::ShaderModel;
use pair::Pair;

const USAGE: &str = "usage:
  table FOLDER [--markdown FILE] [--only WORD]   every shader on every chip (through driver.sh)
  text CHIP FILE.json                            all that the driver tells of one
  hlsl FOLDER OUT                                HLSL of every shader";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["table", folder, ref options @ ..] => table::run(Path::new(folder), options),
        ["text", name, file] => chip(name).and_then(|c| table::show(c, file)),
        // These two run within driver.sh.
        ["dump", file] => dump(file).map(|()| true),
        ["stat", name, ref files @ ..] => chip(name).and_then(|c| stat(c, files)).map(|()| true),
        ["hlsl", folder, out] => hlsl(Path::new(folder), Path::new(out)),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn chip(name: &str) -> Result<&'static Chip, String> {
    CHIPS.iter().find(|c| c.name == name).ok_or_else(|| format!("no chip {name}"))
}

/// A line of JSON for each shader before it is compiled (a driver may not survive it), and one after.
fn stat(chip: &Chip, files: &[&str]) -> Result<(), String> {
    let gpu = vulkan::Gpu::open()?;
    println!("{}", serde_json::json!({ "device": gpu.name }));
    for file in files {
        println!("{}", serde_json::json!({ "begin": file }));
        let figures = Pair::read(Path::new(file))
            .and_then(|pair| Figures::read(chip, &pair, &gpu.compile(&pair)?));
        println!("{}", serde_json::json!({ "figures": figures }));
    }
    Ok(())
}

fn dump(file: &str) -> Result<(), String> {
    let compiled = vulkan::Gpu::open()?.compile(&Pair::read(Path::new(file))?)?;
    for (name, value) in &compiled.numbers {
        println!("{name}: {value}");
    }
    for (name, text) in &compiled.texts {
        println!("==== {name}\n{text}");
    }
    Ok(())
}

/// NAME.dxc.hlsl (shader model 6.2) and NAME.fxc.hlsl (5.1, the last one that FXC knows).
fn hlsl(folder: &Path, out: &Path) -> Result<bool, String> {
    let mut good = true;
    for json in pair::list(folder)? {
        let name = pair::name(&json);
        let write = |pair: &Pair, kind: &str, model| {
            let text = pair.hlsl(model)?;
            std::fs::write(out.join(format!("{name}.{kind}.hlsl")), text).map_err(|e| e.to_string())
        };
        let written = Pair::read(&json).and_then(|pair| {
            write(&pair, "dxc", ShaderModel::V6_2)?;
            write(&pair, "fxc", ShaderModel::V5_1)
        });
        if let Err(message) = written {
            println!("naga: {name}: {message}");
            good = false;
        }
    }
    Ok(good)
}
