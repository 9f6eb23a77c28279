//! The inner loops as compilers made them: at every SIMD level each one multiplies and adds in full vectors,
//! fused where the level can, and calls nothing; so do those of activations, which divide.
//!
//! Reads this program's own code with `objdump`, which comes with the linker, so it has to be built as
//! released: `sh tests/run.sh` does. On other processors than x86-64 it says so and ends.

use std::collections::BTreeMap;
use std::process::Command;

use channelwise::{Conv2d, Engine, Kernel};
use ndarray::Array4;

/// A level: its name in `fearless_simd`, its vector registers, and whether it has fused multiply-adds.
const LEVELS: [(&str, &str, bool); 3] =
    [("avx512", "zmm", true), ("avx2", "ymm", true), ("sse2", "xmm", false)];

/// Loops that must be there, by the multiplications of a turn with 32 registers and with 16.
const LOOPS: [(&str, usize, usize); 6] = [
    ("a block of 3x3 taps (kernels/unrolled.rs)", 216, 108),
    ("a block of 5x5 taps (kernels/unrolled.rs)", 600, 300),
    ("a tap column that all rows of a block meet (kernels/any.rs)", 24, 12),
    ("a tap, 1 row of 8 vectors (kernels/any.rs)", 8, 8),
    ("3x3 taps of a kernel's gradient, 4 rows (gradient/taps.rs)", 36, 36),
    ("2x5 taps of a kernel's gradient, 4 rows (gradient/taps.rs)", 40, 40),
];

/// Loops of sigmoid, tanh and gelu and of their slopes, a division each.
const CURVES: usize = 6;

/// An instruction: where it is, its name, and what it works on.
struct Instruction {
    at: u64,
    name: String,
    operands: String,
}

impl Instruction {
    /// Of objdump's lines: `  4015d0:\tvfmadd231ps ymm0,ymm1,ymm2`.
    fn parse(line: &str) -> Option<Self> {
        let (at, text) = line.split_once(":\t")?;
        let at = u64::from_str_radix(at.trim(), 16).ok()?;
        let (name, operands) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        Some(Self { at, name: name.into(), operands: operands.trim().into() })
    }

    /// Where it jumps to, if that is before it: the end of a loop.
    fn back(&self) -> Option<u64> {
        let to = self.operands.split(' ').next()?;
        let to = u64::from_str_radix(to.trim_start_matches("0x"), 16).ok()?;
        (self.name.starts_with('j') && to <= self.at).then_some(to)
    }

    /// Whether it multiplies vectors of floats: fused with an addition or not.
    fn multiplies(&self, registers: &str, fused: bool) -> bool {
        let named = match fused {
            true => self.name.starts_with("vfmadd") && self.name.ends_with("ps"),
            false => matches!(&*self.name, "mulps" | "vmulps"),
        };
        named && self.operands.contains(registers)
    }

    /// Whether it divides vectors of floats.
    fn divides(&self, registers: &str) -> bool {
        matches!(&*self.name, "divps" | "vdivps") && self.operands.contains(registers)
    }
}

/// Loops without a loop inside them.
fn innermost(code: &[Instruction]) -> Vec<&[Instruction]> {
    let place = |at: u64| code.binary_search_by_key(&at, |i| i.at).ok();
    let all: Vec<(usize, usize)> =
        code.iter().enumerate().filter_map(|(end, i)| Some((place(i.back()?)?, end))).collect();
    let inner = all.iter().filter(|(start, end)| {
        !all.iter().any(|(s, e)| start <= s && e <= end && (s, e) != (start, end))
    });
    inner.map(|(start, end)| &code[*start..=*end]).collect()
}

/// What one level's loops do: how many there are by the multiplications of a turn, and what is wrong.
fn check(
    functions: &[Vec<Instruction>],
    (level, registers, fused): (&str, &str, bool),
) -> (BTreeMap<usize, usize>, Vec<String>) {
    let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
    for code in functions {
        for turn in innermost(code) {
            let count = |is: &dyn Fn(&Instruction) -> bool| turn.iter().filter(|i| is(i)).count();
            let products = count(&|i| i.multiplies(registers, fused));
            // Those of activations, which divide, are looked at by `curves`.
            if products == 0 || turn.iter().any(|i| i.divides(registers)) {
                continue;
            }
            *counts.entry(products).or_default() += 1;
            let place = format!("{level}: the loop at {:x} with {products} products", turn[0].at);
            if let Some(call) = turn.iter().find(|i| i.name.starts_with("call")) {
                wrong.push(format!("{place} calls {}", call.operands));
            }
            // Products of complex numbers stand alone; those of taps do not.
            let alone = count(&|i| i.multiplies(registers, false));
            if fused && products >= 8 && alone > 0 {
                wrong.push(format!("{place} has {alone} that are not fused"));
            }
        }
    }
    for (name, of_32, of_16) in LOOPS {
        let products = if registers == "zmm" { of_32 } else { of_16 };
        if !counts.contains_key(&products) {
            wrong.push(format!("{level}: no loop of {products} products, for {name}: {counts:?}"));
        }
    }
    (counts, wrong)
}

/// What is wrong with a level's loops of activations: vectors are divided in as many as there are curves,
/// which call nothing, and no loop stores what a mask tells (see `Activation::apply_to`).
fn curves(
    functions: &[Vec<Instruction>],
    (level, registers, _): (&str, &str, bool),
) -> Vec<String> {
    let (mut divide, mut wrong) = (0, Vec::new());
    for turn in functions.iter().flat_map(|code| innermost(code)) {
        let place = format!("{level}: the loop at {:x}", turn[0].at);
        if turn.iter().any(|i| i.divides(registers)) {
            divide += 1;
            if let Some(call) = turn.iter().find(|i| i.name.starts_with("call")) {
                wrong.push(format!("{place} divides and calls {}", call.operands));
            }
        }
        if turn.iter().any(|i| i.name == "vmaskmovps") {
            wrong.push(format!("{place} has masked stores"));
        }
    }
    if divide < CURVES {
        wrong.push(format!("{level}: {divide} loops of {CURVES} divide vectors"));
    }
    wrong
}

fn main() {
    if !cfg!(target_arch = "x86_64") || cfg!(debug_assertions) {
        eprintln!("assembly: not checked, for it is that of released code on x86-64");
        return;
    }
    // So that all of it is linked.
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    let x = Array4::<f32>::ones((1, 5, 5, 1));
    assert_eq!(Engine::cpu().backward(&conv, &x, &x).unwrap().weights.kernel.len(), 9);
    let program = std::env::current_exe().unwrap();
    let read = Command::new("objdump")
        .args(["-d", "-M", "intel", "--no-show-raw-insn", "-C"])
        .arg(program)
        .output()
        .expect("objdump, of the package binutils");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let text = String::from_utf8_lossy(&read.stdout);
    let mut wrong = Vec::new();
    for level in LEVELS {
        let functions: Vec<Vec<Instruction>> = text
            .split("\n\n")
            .filter(|f| f.lines().any(|l| l.ends_with(&format!("vectorize_{}>:", level.0))))
            .map(|f| f.lines().filter_map(Instruction::parse).collect())
            .collect();
        let (counts, found) = check(&functions, level);
        eprintln!(
            "assembly: {} functions for {}, loops by products {counts:?}",
            functions.len(),
            level.0
        );
        wrong.extend(found);
        // What every processor has is compiled where it is called, in our code or in what calls it.
        let own = |name: &str| {
            let called = name.contains("::Sse2 as ") && name.ends_with("::vectorize>:");
            level.0 == "sse2" && (called || name.contains("channelwise::cpu::"))
        };
        let named = |f: &str| {
            let name = f.lines().find(|l| l.ends_with(">:")).unwrap_or_default();
            name.ends_with(&format!("vectorize_{}>:", level.0)) || own(name)
        };
        let all: Vec<Vec<Instruction>> = text
            .split("\n\n")
            .filter(|f| named(f))
            .map(|f| f.lines().filter_map(Instruction::parse).collect())
            .collect();
        wrong.extend(curves(&all, level));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    a_bad_loop_is_seen();
}

/// A call, and a product beside its addition.
fn a_bad_loop_is_seen() {
    let fused = "  10:\tvfmadd231ps ymm0,ymm1,ymm2\n".repeat(108);
    let with = |more: &str| -> Vec<String> {
        let text = format!("{fused}  20:\t{more}\n  30:\tjne    10 <f>\n");
        let code = text.lines().filter_map(Instruction::parse).enumerate();
        let code =
            code.map(|(n, i)| Instruction { at: if n == 0 { 0x10 } else { 0x11 + n as u64 }, ..i });
        check(&[code.collect()], LEVELS[1]).1
    };
    let turn = |lines: &str| -> Vec<Vec<Instruction>> {
        vec![
            format!("{lines}  20:\tjne    10 <f>\n")
                .lines()
                .filter_map(Instruction::parse)
                .collect(),
        ]
    };
    let divides = "  10:\tvdivps ymm0,ymm1,ymm2\n";
    let six = |code: &dyn Fn() -> Vec<Vec<Instruction>>| -> Vec<String> {
        curves(&(0..CURVES).flat_map(|_| code()).collect::<Vec<_>>(), LEVELS[1])
    };
    assert_eq!(six(&|| turn(divides)), Vec::<String>::new());
    assert_eq!(curves(&turn(divides), LEVELS[1]).len(), 1);
    assert_eq!(six(&|| turn("  10:\tvdivss xmm0,xmm1,xmm2\n")).len(), 1);
    assert_eq!(six(&|| turn(&format!("{divides}  18:\tcall   4000 <expf>\n"))).len(), CURVES);
    assert_eq!(
        six(&|| turn(&format!("{divides}  18:\tvmaskmovps YMMWORD PTR [rax],ymm0,ymm1\n"))).len(),
        CURVES
    );
    let missing = LOOPS.len() - 1;
    assert_eq!(with("vmovups ymm3,YMMWORD PTR [rax]").len(), missing);
    assert_eq!(with("call   4000 <panic>").len(), missing + 1);
    assert_eq!(with("vmulps ymm3,ymm4,ymm5").len(), missing + 1);
}
