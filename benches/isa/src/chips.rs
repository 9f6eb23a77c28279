//! The GPUs, and how each driver's statistics are read.

use crate::pair::Pair;
use crate::vulkan::Compiled;

pub struct Chip {
    /// Generation and chip.
    pub name: &'static str,
    /// Driver, for driver.sh.
    pub driver: &'static str,
    /// The variable by which its null device picks the chip.
    pub variable: (&'static str, &'static str),
    /// Waves per SIMD that the project asks for.
    pub waves: Option<f64>,
}

const fn chip(
    name: &'static str,
    driver: &'static str,
    variable: (&'static str, &'static str),
) -> Chip {
    Chip { name, driver, variable, waves: None }
}

/// Mesa's null devices know no newer NVIDIA, and some other Adrenos fail.
pub const CHIPS: &[Chip] = &[
    chip("Vega vega10", "amd", ("AMDGPU_GPU_ID", "vega10")),
    Chip { waves: Some(8.0), ..chip("RDNA2 navi21", "amd", ("AMDGPU_GPU_ID", "navi21")) },
    Chip { waves: Some(8.0), ..chip("RDNA2 vangogh", "amd", ("AMDGPU_GPU_ID", "vangogh")) },
    Chip { waves: Some(8.0), ..chip("RDNA3 navi31", "amd", ("AMDGPU_GPU_ID", "navi31")) },
    Chip { waves: Some(8.0), ..chip("RDNA3 phoenix", "amd", ("AMDGPU_GPU_ID", "phoenix")) },
    chip("RDNA4 gfx1201", "amd", ("AMDGPU_GPU_ID", "gfx1201")),
    chip("Turing TU102", "nvk", ("NOUVEAU_CHIPSET", "162")),
    chip("Ampere GA102", "nvk", ("NOUVEAU_CHIPSET", "172")),
    chip("Adreno 618", "adreno", ("FD_GPU_ID", "618")),
    chip("Adreno 660", "adreno", ("FD_GPU_ID", "660")),
    chip("Adreno 730", "adreno", ("FD_GPU_ID", "730")),
    chip("Adreno 750", "adreno", ("FD_GPU_ID", "750")),
    chip("Apple M1", "agx", ("ISA_CHIP", "m1")),
];

/// What the table shows of a shader on a chip. `None`: the driver does not tell.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Figures {
    pub registers: f64,
    /// Registers that went to memory, and those that went to registers of another kind: a lane of a
    /// vector register for a scalar, a plain register for a predicate.
    pub spills: f64,
    pub moves: f64,
    /// Bytes of private memory of an invocation: spills, and arrays that did not fit registers.
    pub scratch: Option<f64>,
    /// Bytes of workgroup memory.
    pub shared: f64,
    pub instructions: f64,
    /// Accesses to buffers by vector instructions.
    pub memory: Option<f64>,
    /// Loops left, whose instructions are counted once.
    pub loops: f64,
    pub waves: f64,
    /// Scalars that an invocation makes.
    pub outputs: f64,
}

impl Figures {
    /// # Errors
    ///
    /// If the driver no longer reports a figure.
    pub fn read(chip: &Chip, pair: &Pair, compiled: &Compiled) -> Result<Self, String> {
        let get = |name: &str| {
            let missing = || format!("the driver no longer reports `{name}`");
            compiled.numbers.get(name).copied().ok_or_else(missing)
        };
        let sum = |names: &[&str]| names.iter().map(|n| get(n)).sum::<Result<f64, String>>();
        let (outputs, shared) = (pair.plan.outputs, f64::from(pair.shared()));
        let text = |form: &str| {
            let text = compiled.texts.iter().find(|(name, _)| name.starts_with(form));
            let (_, text) = text.ok_or_else(|| format!("the driver no longer gives `{form}`"))?;
            Ok::<_, String>(text.as_str())
        };
        let count = |form: &str, words: &[&str]| {
            let lines = text(form)?.lines().filter(|l| words.iter().any(|w| l.contains(w)));
            Ok::<_, String>(lines.count() as f64)
        };
        Ok(match chip.driver {
            "amd" => Self {
                registers: get("VGPRs")?,
                spills: get("Spilled VGPRs")?,
                moves: get("Spilled SGPRs")?,
                scratch: Some(get("Scratch size")? / f64::from(compiled.lanes)),
                instructions: get("Instructions")?,
                // Scalar loads (SMEM) serve a whole wave, so they are left out.
                memory: Some(get("VMEM")?),
                loops: count("NIR", &["loop {"])?,
                waves: get("Subgroups per SIMD")?
                    * if chip.name.starts_with("RDNA") {
                        // It counts a wave of 64 lanes twice there: 128 registers, of which a SIMD has
                        // 512, give 8.
                        32.0 / f64::from(compiled.lanes)
                    } else {
                        1.0
                    },
                shared,
                outputs,
            },
            "nvk" => Self {
                registers: get("Number of GPRs")?,
                spills: get("Spills to memory")?,
                moves: get("Spills to reg")?,
                scratch: Some(get("SLM size")?),
                instructions: get("Instruction count")?,
                memory: Some(count("NAK", &["ld.global", "st.global"])?),
                loops: nak_loops(text("NAK")?),
                waves: get("Max warps/SM")?,
                shared,
                outputs,
            },
            "adreno" => Self {
                registers: get("Registers used")?,
                spills: sum(&["STP Count", "LDP Count"])?,
                moves: 0.0,
                scratch: None,
                instructions: get("Instruction Count")?,
                // Texture unit and load/store unit, both of which read buffers.
                memory: Some(sum(&["cat5 instructions", "cat6 instructions"])?),
                loops: get("Loops")?,
                waves: get("Max Waves Per Core")?,
                shared,
                outputs,
            },
            _ => Self {
                registers: get("GPRs")?,
                spills: get("Spills")?,
                moves: 0.0,
                scratch: Some(get("Scratch")?),
                instructions: get("Instructions")?,
                memory: None,
                loops: get("Loops")?,
                // A wave has 32 threads.
                waves: get("Threads")? / 32.0,
                shared,
                outputs,
            },
        })
    }

    /// What is wrong with it on this chip; nothing if it is fine.
    pub fn flags(&self, chip: &Chip) -> Vec<&'static str> {
        let mut flags = Vec::new();
        if self.spills > 0.0 {
            flags.push("SPILLS");
        }
        if self.moves > 0.0 {
            flags.push("register moves");
        }
        if self.spills == 0.0 && self.scratch.is_some_and(|bytes| bytes > 0.0) {
            flags.push("SCRATCH");
        }
        if chip.waves.is_some_and(|least| self.waves < least) {
            flags.push("few waves");
        }
        flags
    }
}

/// Loops in NAK's assembly: jumps back to a block that is still being followed. A block is
/// `block 7 L9 [its predecessors] -> {`, its code, and `} -> [its successors]`.
fn nak_loops(assembly: &str) -> f64 {
    let numbers = |list: &str| {
        let inside = list.split(['[', ']']).nth(1).unwrap_or_default();
        inside.split(", ").filter_map(|n| n.parse().ok()).collect::<Vec<usize>>()
    };
    let ends = assembly.lines().filter(|l| l.starts_with("} -> ["));
    let next: Vec<Vec<usize>> = ends.map(numbers).collect();
    let mut loops = 0;
    let mut seen = vec![false; next.len()];
    // The blocks on the way here, each with how many of its successors were followed.
    let mut way = vec![(0, 0)];
    while let Some((block, followed)) = way.pop() {
        if let Some(seen) = seen.get_mut(block) {
            *seen = true;
        }
        let Some(&to) = next.get(block).and_then(|n| n.get(followed)) else { continue };
        way.push((block, followed + 1));
        if way.iter().any(|(b, _)| *b == to) {
            loops += 1;
        } else if !seen.get(to).copied().unwrap_or(true) {
            way.push((to, 0));
        }
    }
    f64::from(loops)
}

#[cfg(test)]
mod tests {
    #[test]
    fn loops_are_told_from_branches_and_from_jumps_back() {
        let branch = "block 0 L0 [] -> {\n} -> [1, 3]\nblock 1 [0, 3] -> {\n} -> [2]\n\
                      block 2 [1] -> {\n} -> []\nblock 3 [0] -> {\n} -> [1]\n";
        assert_eq!(super::nak_loops(branch), 0.0);
        assert_eq!(super::nak_loops(&branch.replace("} -> [2]", "} -> [2, 1]")), 1.0);
        assert_eq!(super::nak_loops(&branch.replace("} -> [2]", "} -> [2, 3]")), 1.0);
    }
}
