//! Runs every chip's compiler in a process of its own and prints what they say.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::chips::{CHIPS, Chip, Figures};
use crate::pair::{self, Pair};

/// A compiler that takes longer for one shader has failed.
const PATIENCE: Duration = Duration::from_secs(120);

type Outcome = Result<Figures, String>;

const HEADER: [&str; 12] = [
    "shader",
    "chip",
    "registers",
    "spills",
    "scratch",
    "LDS",
    "instructions",
    "per output",
    "memory",
    "per output",
    "waves",
    "",
];

/// Whether all compiled and nothing spilled.
pub fn run(folder: &Path, options: &[&str]) -> Result<bool, String> {
    let (mut markdown, mut only) = (None, "");
    for option in options.chunks(2) {
        match *option {
            ["--markdown", file] => markdown = Some(file),
            ["--only", word] => only = word,
            _ => return Err(format!("unknown option {}", option[0])),
        }
    }
    let mut files = pair::list(folder)?;
    let all = files.len();
    // Plans for an adapter that the CPU plays reach no GPU. What naga refuses is told once, and not by
    // every chip.
    let mut failed = 0;
    files.retain(|file| match Pair::read(file) {
        Ok(pair) if pair.plan.class == "software" => false,
        Ok(_) => true,
        Err(message) => {
            eprintln!("{message}");
            failed += 1;
            false
        }
    });
    let left_out = all - files.len() - failed;
    let mut devices = Vec::new();
    let mut rows = Vec::new();
    for chip in CHIPS.iter().filter(|c| c.name.to_lowercase().contains(&only.to_lowercase())) {
        let mut device = None;
        for (shader, outcome) in (0..).zip(compile(chip, &files, &mut device)?) {
            rows.push((shader, chip, outcome));
        }
        devices.push(format!("{}: {}", chip.name, device.unwrap_or("no device".into())));
    }
    rows.sort_by_key(|(shader, ..)| *shader);
    if rows.is_empty() && failed == 0 {
        return Err("nothing to compile".into());
    }
    let mut lines = vec![HEADER.map(String::from)];
    let (mut spilled, mut thin) = (0, 0);
    for (shader, chip, outcome) in &rows {
        let line = cells(&pair::name(&files[*shader]), chip, outcome);
        failed += usize::from(outcome.is_err());
        spilled += usize::from(line[11].contains("SPILLS") || line[11].contains("SCRATCH"));
        thin += usize::from(line[11].contains("few waves"));
        lines.push(line);
    }
    let summary = format!(
        "{} shaders on {} chips ({} planned for software adapters left out): \
         {failed} failed, {spilled} with spills, {thin} with few waves",
        files.len(),
        devices.len(),
        left_out,
    );
    print!("{}", aligned(&lines));
    println!("\n{summary}");
    if let Some(file) = markdown {
        let text = format!("{summary}.\n\n{}\n{}", piped(&lines), devices.join("  \n"));
        std::fs::write(file, text + "\n").map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(failed + spilled == 0)
}

fn cells(shader: &str, chip: &Chip, outcome: &Outcome) -> [String; 12] {
    let f = match outcome {
        Ok(figures) => figures,
        Err(message) => {
            let mut line: [String; 12] = Default::default();
            let first = message.lines().next().unwrap_or_default();
            line[0] = shader.into();
            line[1] = chip.name.into();
            line[11] = format!("FAILED: {first}");
            return line;
        }
    };
    let opt = |n: Option<f64>| n.map_or("-".into(), |n| n.to_string());
    // Loops make the count per output one of code, not of what is run.
    let mark = if f.loops > 0.0 { "*" } else { "" };
    let per = |n: Option<f64>| n.map_or("-".into(), |n| format!("{:.1}{mark}", n / f.outputs));
    [
        shader.into(),
        chip.name.into(),
        f.registers.to_string(),
        if f.moves > 0.0 { format!("{}+{}", f.spills, f.moves) } else { f.spills.to_string() },
        opt(f.scratch),
        f.shared.to_string(),
        f.instructions.to_string(),
        per(Some(f.instructions)),
        opt(f.memory),
        per(f.memory),
        f.waves.to_string(),
        f.flags(chip).join(", "),
    ]
}

/// This program, within driver.sh on the null device of the chip.
fn within(chip: &Chip) -> Result<Command, String> {
    let driver = std::env::var_os("ISA_DRIVER").ok_or("ISA_DRIVER does not name driver.sh")?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new("sh");
    command.arg(driver).arg(chip.driver).arg(program).env(chip.variable.0, chip.variable.1);
    Ok(command)
}

/// Prints all that the driver tells of one shader.
pub fn show(chip: &Chip, file: &str) -> Result<bool, String> {
    let status = within(chip)?.args(["dump", file]).status();
    Ok(status.map_err(|e| e.to_string())?.success())
}

/// The outcome for each file, in order.
fn compile(
    chip: &Chip,
    files: &[PathBuf],
    device: &mut Option<String>,
) -> Result<Vec<Outcome>, String> {
    let mut outcomes = Vec::new();
    while outcomes.len() < files.len() {
        let before = outcomes.len();
        let end = batch(chip, &files[before..], device, &mut outcomes)?;
        // A driver that died or hung did so on the shader it had begun: go on behind that one.
        if outcomes.len() < files.len() {
            outcomes.push(Err(end));
        }
    }
    Ok(outcomes)
}

/// Compiles in one process as many files as it survives; says how it ended.
fn batch(
    chip: &Chip,
    files: &[PathBuf],
    device: &mut Option<String>,
    outcomes: &mut Vec<Outcome>,
) -> Result<String, String> {
    let start = |e| format!("driver.sh: {e}");
    let mut child = within(chip)?
        .args(["stat", chip.name])
        .args(files)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let (send, lines) = mpsc::channel();
    let stdout = child.stdout.take().ok_or("no output")?;
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    // What drivers complain about matters only if they then die.
    let stderr = child.stderr.take().ok_or("no output")?;
    let complaints = std::thread::spawn(move || {
        let lines = BufReader::new(stderr).lines().map_while(Result::ok);
        lines.filter(|l| !l.trim().is_empty()).last().unwrap_or_default()
    });
    let hung = loop {
        match lines.recv_timeout(PATIENCE) {
            Err(mpsc::RecvTimeoutError::Disconnected) => break false,
            Err(mpsc::RecvTimeoutError::Timeout) => break true,
            Ok(line) => {
                // Drivers print too: other lines are theirs.
                let Ok(mut line) = serde_json::from_str::<serde_json::Value>(&line) else {
                    continue;
                };
                if let Some(name) = line["device"].as_str() {
                    *device = Some(name.into());
                }
                if !line["figures"].is_null() {
                    let figures = serde_json::from_value(line["figures"].take());
                    outcomes.push(figures.map_err(|e| e.to_string())?);
                }
            }
        }
    };
    if hung {
        let _ = child.kill();
    }
    let status = child.wait().map_err(start)?;
    let complaint = complaints.join().unwrap_or_default();
    Ok(if hung { format!("no answer in {PATIENCE:?}") } else { format!("{status}: {complaint}") })
}

fn aligned(lines: &[[String; 12]]) -> String {
    let width = |c: usize| lines.iter().map(|l| l[c].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..11).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (c, (cell, w)) in line.iter().zip(&widths).enumerate() {
            let _ = if c < 2 { write!(text, "{cell:w$}  ") } else { write!(text, "{cell:>w$}  ") };
        }
        let _ = writeln!(text, "{}", line[11]);
    }
    text
}

fn piped(lines: &[[String; 12]]) -> String {
    let mut text = String::new();
    for (n, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "| {} |", line.join(" | ").replace("*", "\\*"));
        if n == 0 {
            let _ = writeln!(text, "| --- | --- |{} --- |", " ---: |".repeat(9));
        }
    }
    text
}
