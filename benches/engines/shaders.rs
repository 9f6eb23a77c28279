//! The shaders planned for every case and kind of adapter, as files for `benches/isa`.

use std::collections::BTreeMap;
use std::path::Path;

use channelwise::plan::{
    AdapterClass, GpuLimits, KernelGradient, Machine, Residence, choose, gradient,
};
use channelwise::{Activation, Algorithm, Border, ElementType, PlannedShader, Pointwise, Problem};
use serde_json::json;

use crate::Failure;
use crate::cases::Case;

pub(crate) fn write(cases: &[Case], folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let mut count = 0;
    for case in cases {
        let problem = case.problem()?;
        for class in [AdapterClass::Discrete, AdapterClass::Integrated, AdapterClass::Software] {
            // Shaders do not depend on how long a buffer may be, and the tensors of some gradients are long.
            let limits = GpuLimits::webgpu_defaults().with_class(class).with_max_buffer(1 << 31);
            let machine = Machine::Gpu(limits, Residence::Device);
            // What most GPUs have, where workgroups may have tiles whole.
            let mut roomy = limits;
            (roomy.max_invocations, roomy.max_workgroup_memory) = (1024, 32 << 10);
            let roomy = Machine::Gpu(roomy, Residence::Device);
            let mut save = |name: String, shaders: &[PlannedShader]| -> Result<(), Failure> {
                let held = if name.ends_with("-device-") { "device" } else { "default" };
                for (pass, shader) in shaders.iter().cloned().enumerate() {
                    let shader = match class {
                        AdapterClass::Software => shader,
                        _ => shader.with_exact_halves(),
                    };
                    let name = format!("{}-{name}{pass}-{class}", case.name);
                    let constants: BTreeMap<_, _> = shader.constants.iter().copied().collect();
                    let about = json!({
                        "label": shader.label, "entry": shader.entry, "constants": constants,
                        "outputs": shader.outputs, "workgroup": shader.workgroup,
                        "case": case.name, "class": class.to_string(), "limits": held,
                    });
                    let mut put = |name: &str, about: serde_json::Value| -> Result<(), Failure> {
                        std::fs::write(folder.join(format!("{name}.wgsl")), &shader.wgsl)?;
                        std::fs::write(folder.join(format!("{name}.json")), about.to_string())?;
                        count += 1;
                        Ok(())
                    };
                    // What is done for all but some outputs in a hundred, and what there is in all.
                    if constants.contains_key("EDGES") {
                        let mut inside = about.clone();
                        inside["constants"]["EDGES"] = json!(0);
                        put(&format!("{name}-inside"), inside)?;
                    }
                    put(&name, about)?;
                }
                Ok(())
            };
            for &algorithm in Algorithm::ALL {
                // What does not apply has no shader.
                let Ok(plan) = choose(&problem, &machine, algorithm) else { continue };
                save(algorithm.to_string(), &PlannedShader::of(&problem, &plan))?;
            }
            if let Ok(plan) = choose(&problem, &roomy, Algorithm::Fft) {
                save("fft-device-".into(), &PlannedShader::of(&problem, &plan))?;
            }
            if !case.has_plain_gradients() {
                continue;
            }
            // Of a layer that has everything, and whose border goes back to pixels.
            let step = Pointwise::new(1, 2, vec![0.5, -0.5])?.activation(Activation::Tanh);
            let layer = case.conv()?.activation(Activation::Gelu).pointwise(step);
            let layer = layer.border(Border::Reflect101);
            let layer = Problem::new(&layer, case.shape, ElementType::F32, ElementType::F32)?;
            let plan = gradient(&layer, &machine, Algorithm::Auto)?;
            save("gradient".into(), &PlannedShader::of_gradient(&layer, &plan)?)?;
            let plan = gradient(&layer, &roomy, Algorithm::Auto)?;
            if matches!(plan.kernel(), KernelGradient::GpuFft(_)) {
                save("gradient-device-".into(), &PlannedShader::of_gradient(&layer, &plan)?)?;
            }
        }
    }
    eprintln!("{count} shaders in {}", folder.display());
    Ok(())
}
