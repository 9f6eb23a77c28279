//! A shader as planned: NAME.wgsl beside NAME.json.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use naga::ShaderStage;
use naga::back::{PipelineConstants, hlsl, pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// What NAME.json says; more keys may stand there.
#[derive(serde::Deserialize)]
pub struct Plan {
    pub entry: String,
    pub constants: BTreeMap<String, f64>,
    /// Scalars that an invocation makes.
    pub outputs: f64,
    pub workgroup: [u32; 2],
    /// Adapter class that the plan is for: discrete, integrated, unknown or software.
    pub class: String,
}

/// A shader with its constants filled in.
pub struct Pair {
    pub plan: Plan,
    pub module: naga::Module,
    info: ModuleInfo,
}

/// The NAME.json of every pair in a folder, in order.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "json"));
    files.sort();
    if files.is_empty() { Err(format!("no shaders in {}", folder.display())) } else { Ok(files) }
}

pub fn name(json: &Path) -> String {
    json.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn plan(json: &Path) -> Result<Plan, String> {
    let text = std::fs::read_to_string(json).map_err(|e| format!("{}: {e}", json.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", json.display()))
}

impl Pair {
    pub fn read(json: &Path) -> Result<Self, String> {
        let plan = plan(json)?;
        let file = json.with_extension("wgsl");
        let path = file.display().to_string();
        let wgsl = std::fs::read_to_string(&file).map_err(|e| format!("{path}: {e}"))?;
        let module = naga::front::wgsl::parse_str(&wgsl)
            .map_err(|e| e.emit_to_string_with_path(&wgsl, &path))?;
        // naga passes over a constant that the shader has not got.
        for constant in plan.constants.keys() {
            if !module.overrides.iter().any(|(_, o)| o.name.as_ref() == Some(constant)) {
                return Err(format!("{path}: no override constant {constant}"));
            }
        }
        let info = Validator::new(ValidationFlags::all(), Capabilities::all())
            .validate(&module)
            .map_err(|e| e.emit_to_string_with_path(&wgsl, &path))?;
        let entry = Some((ShaderStage::Compute, plan.entry.as_str()));
        let constants: PipelineConstants = plan.constants.clone().into_iter().collect();
        let (module, info) = process_overrides(&module, &info, entry, &constants)
            .map_err(|e| format!("{path}: {}", chain(&e)))?;
        let (module, info) = (module.into_owned(), info.into_owned());
        let compiled = module.entry_points.first().map(|e| e.workgroup_size);
        let [x, y] = plan.workgroup;
        if compiled != Some([x, y, 1]) {
            return Err(format!("{path}: workgroup {compiled:?}, planned {:?}", plan.workgroup));
        }
        Ok(Self { plan, module, info })
    }

    /// Bytes of workgroup memory.
    pub fn shared(&self) -> u32 {
        let globals = self.module.global_variables.iter();
        let shared = globals.filter(|(_, g)| g.space == naga::AddressSpace::WorkGroup);
        shared.map(|(_, g)| self.module.types[g.ty].inner.size(self.module.to_ctx())).sum()
    }

    /// SPIR-V as wgpu-hal 30 writes it: buffers are checked by the device if it can, or by the code.
    pub fn spirv(&self, robust_buffers: bool) -> Result<Vec<u32>, String> {
        let unchecked = BoundsCheckPolicy::Unchecked;
        let options = spv::Options {
            lang_version: (1, 6),
            flags: spv::WriterFlags::empty(),
            fake_missing_bindings: true,
            bounds_check_policies: BoundsCheckPolicies {
                index: BoundsCheckPolicy::Restrict,
                buffer: if robust_buffers { unchecked } else { BoundsCheckPolicy::Restrict },
                image_load: unchecked,
                binding_array: unchecked,
            },
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: true,
            ..Default::default()
        };
        let pipeline = spv::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: self.plan.entry.clone(),
        };
        spv::write_vec(&self.module, &self.info, &options, Some(&pipeline))
            .map_err(|e| format!("SPIR-V: {}", chain(&e)))
    }

    /// HLSL as wgpu-hal 30 writes it. naga may rename the entry point: the first line names it.
    pub fn hlsl(&self, shader_model: hlsl::ShaderModel) -> Result<String, String> {
        let options = hlsl::Options {
            shader_model,
            // Where the size of the grid is handed in; any free register does.
            special_constants_binding: Some(hlsl::BindTarget { space: 250, ..Default::default() }),
            force_loop_bounding: true,
            restrict_indexing: true,
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        let entry_point = Some((ShaderStage::Compute, self.plan.entry.clone()));
        let mut text = String::new();
        let written =
            hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions { entry_point })
                .write(&self.module, &self.info, None)
                .map_err(|e| format!("HLSL: {}", chain(&e)))?;
        let names = written.entry_point_names.into_iter().flatten();
        let name = names.last().ok_or("HLSL: no entry point")?;
        Ok(format!("// {name}\n{text}"))
    }
}

fn chain(error: &dyn Error) -> String {
    let more = error.source().map(|e| format!(": {}", chain(e)));
    format!("{error}{}", more.unwrap_or_default())
}
