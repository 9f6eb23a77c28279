//! The shaders planned for every case and kind of adapter, as files for `benches/isa`.

use std::collections::BTreeMap;
use std::path::Path;

use channelwise::plan::{AdapterClass, GpuLimits, Machine, Residence, choose};
use channelwise::{Algorithm, PlannedShader};
use serde_json::json;

use crate::Failure;
use crate::cases::Case;

pub(crate) fn write(cases: &[Case], folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let mut count = 0;
    for case in cases {
        let problem = case.problem()?;
        for class in [AdapterClass::Discrete, AdapterClass::Integrated, AdapterClass::Software] {
            let limits = GpuLimits { class, ..GpuLimits::webgpu_defaults() };
            let machine = Machine::Gpu(limits, Residence::Device);
            for algorithm in Algorithm::ALL {
                // What does not apply has no shader.
                let Ok(plan) = choose(&problem, &machine, algorithm) else { continue };
                for (pass, shader) in PlannedShader::of(&problem, &plan).iter().enumerate() {
                    let name = format!("{}-{algorithm}{pass}-{class}", case.name);
                    let constants: BTreeMap<_, _> = shader.constants.iter().copied().collect();
                    let about = json!({
                        "label": shader.label, "entry": shader.entry, "constants": constants,
                        "outputs": shader.outputs, "workgroup": shader.workgroup,
                        "case": case.name, "class": class.to_string(),
                    });
                    std::fs::write(folder.join(format!("{name}.wgsl")), &shader.wgsl)?;
                    std::fs::write(folder.join(format!("{name}.json")), about.to_string())?;
                    count += 1;
                }
            }
        }
    }
    eprintln!("{count} shaders in {}", folder.display());
    Ok(())
}
