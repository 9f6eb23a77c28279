//! Shaders against naga and against their Rust twins, without a GPU.

mod grammar;

use std::collections::BTreeMap;

use naga::back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage, TypeInner};

use super::files::{ENTRY, wgsl};
use crate::plan::job::{
    self, Data, EdgesOwn, Entry, FftOwn, FlatOwn, MarchOwn, Params, PhasesOwn, ProductsOwn,
    Program, Shader, StripOwn, SumsOwn, Texel, Texels,
};
use crate::plan::{Cuts, GpuLimits, Halves, Launch, Machine, Pass, Residence};
use crate::{
    Activation, Algorithm, AlphaMode, Border, Conv2d, ElementType, Kernel, Layout, Padding,
    Pointwise, Problem, plan,
};

fn parse(shader: Shader) -> Module {
    let text = wgsl(shader);
    naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|e| panic!("{}: {}", shader.label(), e.emit_to_string(&text)))
}

fn validate(shader: Shader, module: &Module) -> ModuleInfo {
    // What WebGPU grants without any feature; some of OpenGL lacks conversions of half floats, and is asked first.
    let capabilities = match shader.entry {
        Entry::March(shape) if shape.halves != Halves::default() => {
            Capabilities::SHADER_FLOAT16_IN_FLOAT32
        }
        _ => Capabilities::empty(),
    };
    validate_with(capabilities, &shader.label(), module)
}

fn validate_with(capabilities: Capabilities, label: &str, module: &Module) -> ModuleInfo {
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(module)
        .unwrap_or_else(|e| panic!("{label}: {e:?}"))
}

/// Problems whose plans between them use every constant.
fn problems(shader: Shader) -> Vec<Problem> {
    // Complex numbers lie between the passes of problems of any type.
    let element = |data| match data {
        Data::F32 | Data::Complex => ElementType::F32,
        Data::U8 => ElementType::U8,
        Data::U16 => ElementType::U16,
        Data::F16 => ElementType::F16,
        Data::I8 => ElementType::I8,
        Data::I16 => ElementType::I16,
        Data::Texture | Data::Stored(_) => unreachable!("these have problems of their own"),
    };
    let (input, output) = (element(shader.source), element(shader.output));
    let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    let plain = Conv2d::new(Kernel::box_blur(5, 3).unwrap());
    let rich = Conv2d::new(two)
        .border(Border::Reflect101)
        .padding(Padding::all(40))
        .dilation(2, 3)
        .activation(Activation::Relu)
        .pointwise(
            Pointwise::new(2, 3, vec![1.0; 6]).unwrap().activation(Activation::Clamp(0.0, 9.0)),
        );
    if matches!(shader.entry, Entry::Gather | Entry::Edges | Entry::Phases) {
        let back = plain.clone().border(Border::Wrap).adjoint();
        let strided = plain.border(Border::ZERO).stride(2, 3).adjoint();
        let wide = rich
            .activation(Activation::None)
            .pointwise(Pointwise::new(2, 3, vec![1.0; 6]).unwrap());
        let wide = wide.adjoint().padding(Padding::all(3));
        let kinds = [
            (back, [1, 20, 30, 4]),
            (strided.clone(), [1, 20, 30, 3]),
            // Large enough for constant sizes.
            (strided.clone(), [1, 400, 500, 4]),
            (strided.dilation(2, 3).border(Border::Reflect), [1, 20, 30, 4]),
            (wide.clone(), [1, 20, 30, 9]),
            (wide.layout(Layout::Nchw), [1, 9, 20, 30]),
        ];
        let of = |(conv, shape): (Conv2d, [usize; 4])| {
            Problem::new(&conv, shape, input, output).unwrap()
        };
        let all: Vec<Problem> = kinds.into_iter().map(of).collect();
        assert!(all.iter().all(Problem::gathers));
        return all;
    }
    [
        (plain.clone(), [1, 20, 30, 3]),
        // Large enough for constant sizes.
        (plain.clone(), [1, 600, 700, 3]),
        // Whose gradients transforms may make.
        (plain.clone().assume_finite(), [2, 40, 50, 3]),
        (plain.border(Border::Wrap).stride(2, 2), [2, 20, 30, 8]),
        (rich.clone(), [1, 20, 30, 4]),
        (rich.layout(Layout::Nchw), [1, 4, 20, 30]),
    ]
    .into_iter()
    .filter_map(|(conv, shape)| Problem::new(&conv, shape, input, output).ok())
    .collect()
}

type Constants = Vec<(&'static str, u32)>;

/// What texture shaders write, and problems whose plans use them.
fn textures(shader: Shader) -> Option<(Texels, Vec<Problem>)> {
    let destination = match (shader.source, shader.output) {
        (_, Data::Stored(texel)) => texel,
        (Data::Texture, _) => Texel::Rgba8,
        _ => return None,
    };
    let alpha = AlphaMode::Keep;
    let texels = Texels { destination, alpha, to_light: true, from_light: true };
    let conv = Conv2d::new(Kernel::box_blur(5, 3).unwrap()).border(Border::Reflect101);
    let kinds = [
        (conv.clone(), [20, 30]),
        (conv.clone(), [600, 700]),
        (conv.clone().padding(Padding::all(40)).stride(2, 2).dilation(2, 3), [20, 30]),
        (conv.activation(Activation::Clamp(0.0, 1.0)), [20, 30]),
    ];
    let of = |(conv, [h, w]): (Conv2d, [usize; 2])| {
        Problem::of_texels(&conv, [h, w, destination.channels()], true).unwrap()
    };
    Some((texels, kinds.map(of).into()))
}

/// Every shader that any plan takes, and of those that are written for shapes those of some shapes.
pub(super) fn every() -> Vec<Shader> {
    let all = Shader::all();
    let mut marching: Vec<Shader> = Vec::new();
    for ends in all.iter().filter(|shader| shader.entry == Entry::Flat && !shader.has_textures()) {
        for (problem, residence) in problems(*ends).iter().flat_map(in_all) {
            let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), residence);
            let Ok(plan) = plan::choose(problem, &machine, Algorithm::March) else { continue };
            let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
            let of_them = job::programs(problem, launch, None).into_iter().map(|p| p.shader);
            marching.extend(of_them.filter(|shader| matches!(shader.entry, Entry::March(_))));
        }
    }
    let all_exact = Halves { unpacks: true, packs: true };
    let exact: Vec<Shader> = marching.iter().map(|shader| shader.with_halves(all_exact)).collect();
    marching.extend(exact);
    marching.sort_by_key(|shader| format!("{shader:?}"));
    marching.dedup();
    assert!(marching.len() > 100, "{}", marching.len());
    all.into_iter().chain(marching).collect()
}

/// A problem whose tensors lie on the host, and on the device.
fn in_all(problem: &Problem) -> [(&Problem, Residence); 2] {
    [(problem, Residence::Host), (problem, Residence::Device)]
}

/// WebGPU's default limits, with either kind of tiles, and what most GPUs have.
fn limits() -> [GpuLimits; 3] {
    let of = |whole| Cuts { whole: Some(whole), products: Some(whole), ..Cuts::NONE };
    let base = GpuLimits::webgpu_defaults();
    let roomy = GpuLimits { max_invocations: 1024, max_workgroup_memory: 32 << 10, ..base };
    [(base, false), (base, true), (roomy, true)]
        .map(|(limits, whole)| GpuLimits { cuts: of(whole), ..limits })
}

/// The constants that plans give a shader, each with its launch's workgroup.
fn specialisations(shader: Shader) -> Vec<(Constants, [u32; 2])> {
    let (texels, problems) = match textures(shader) {
        Some((texels, problems)) => (Some(texels), problems),
        None => (None, problems(shader)),
    };
    let residences = match texels {
        Some(_) => vec![Residence::Texture],
        None => vec![Residence::Host, Residence::Device],
    };
    let mut all = Vec::new();
    let cases = problems.iter().flat_map(|p| residences.iter().map(move |r| (p, *r)));
    for ((problem, residence), limits) in cases.flat_map(|case| limits().map(|l| (case, l))) {
        let machine = Machine::Gpu(limits, residence);
        let gradients = texels.is_none()
            && !problem.conv().adjoint
            && problem.output_type() == ElementType::F32;
        if gradients {
            let plan = plan::gradient(problem, &machine, crate::Algorithm::Auto).unwrap();
            let sums = problem.sums().unwrap();
            let steps = job::gradient_steps(problem, &sums, &plan);
            all.extend(steps.into_iter().map(|step| {
                let workgroup = step.workgroup();
                (step, workgroup)
            }));
        }
        let ways = Algorithm::ALL.iter().map(|&algorithm| (algorithm, None));
        for (algorithm, one_pass) in ways.chain([(Algorithm::Separable, Some(false))]) {
            let cuts = Cuts { one_pass, ..limits.cuts };
            let machine = Machine::Gpu(GpuLimits { cuts, ..limits }, residence);
            let Ok(plan) = plan::choose(problem, &machine, algorithm) else { continue };
            let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
            let programs = job::programs(problem, launch, texels.as_ref());
            let passes = Pass::of(&launch.scheme).iter().copied().chain([Pass::Edges]);
            let groups = passes.map(|pass| pass.workgroup(launch));
            let fits = |[x, y]: [u32; 2]| x * y <= limits.max_invocations;
            assert!(groups.clone().all(fits), "{limits:?}, {plan}");
            all.extend(programs.into_iter().zip(groups));
        }
    }
    // One shader may be that of several passes; which conversions it has is seen later.
    let planned = shader.with_halves(Halves::default());
    all.retain(|(program, _)| program.shader == planned);
    // Each shape is one problem's, wherever its tensors lie.
    let least = if matches!(shader.entry, Entry::March(_)) { 1 } else { 2 };
    assert!(all.len() >= least, "{}: no plan uses it", shader.label());
    all.into_iter().map(|(Program { constants, .. }, workgroup)| (constants, workgroup)).collect()
}

fn resolve(
    shader: Shader,
    module: &Module,
    info: &ModuleInfo,
    constants: &[(&str, u32)],
) -> (Module, ModuleInfo) {
    let constants: PipelineConstants =
        constants.iter().map(|(name, value)| ((*name).to_string(), f64::from(*value))).collect();
    let entry = Some((ShaderStage::Compute, ENTRY));
    let (module, info) = process_overrides(module, info, entry, &constants)
        .unwrap_or_else(|e| panic!("{}: {e}", shader.label()));
    (module.into_owned(), info.into_owned())
}

#[test]
fn every_row_parses_validates_and_resolves() {
    for shader in every() {
        let module = parse(shader);
        let info = validate(shader, &module);
        for (constants, workgroup) in specialisations(shader) {
            let (resolved, _) = resolve(shader, &module, &info, &constants);
            validate(shader, &resolved);
            let entry = &resolved.entry_points[0];
            assert_eq!(entry.name, ENTRY);
            assert_eq!(entry.workgroup_size, [workgroup[0], workgroup[1], 1], "{}", shader.label());
        }
    }
}

/// A misspelt constant would leave its override at the default.
#[test]
fn every_constant_has_its_override_and_every_override_its_constant() {
    for shader in every() {
        let module = parse(shader);
        let declared: Vec<&str> =
            module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
        let mut given: Vec<&str> = Vec::new();
        for (constants, _) in specialisations(shader) {
            for (name, _) in constants {
                assert!(declared.contains(&name), "{}: {name} is no override", shader.label());
                given.push(name);
            }
        }
        for name in declared {
            let sizes = ["KERNEL_", "CHANNELS", "DILATION_", "STRIDE_"];
            // Only these are specialised to sizes; elsewhere their 0 says "read it".
            let specialised = matches!(shader.entry, Entry::Flat | Entry::Phases | Entry::Strip);
            let may_stay = sizes.iter().any(|s| name.starts_with(s)) && !specialised;
            assert!(may_stay || given.contains(&name), "{}: nothing sets {name}", shader.label());
        }
    }
}

#[test]
fn every_row_is_written_for_every_back_end() {
    let bindings =
        |slots: fn(u32) -> msl::BindTarget| -> BTreeMap<ResourceBinding, msl::BindTarget> {
            (0..5).map(|binding| (ResourceBinding { group: 0, binding }, slots(binding))).collect()
        };
    for shader in every() {
        let module = parse(shader);
        let info = validate(shader, &module);
        for (constants, _) in specialisations(shader) {
            let (module, info) = resolve(shader, &module, &info, &constants);

            let words = spv::write_vec(&module, &info, &spv::Options::default(), None)
                .unwrap_or_else(|e| panic!("{} to SPIR-V: {e:?}", shader.label()));
            assert_eq!(words[0], 0x0723_0203, "{}", shader.label());

            let resources = msl::EntryPointResources {
                resources: bindings(|binding| msl::BindTarget {
                    buffer: Some(binding as u8),
                    texture: Some(binding as u8),
                    mutable: binding == 2,
                    ..Default::default()
                }),
                sizes_buffer: Some(8),
                ..Default::default()
            };
            let options = msl::Options {
                per_entry_point_map: [(ENTRY.to_string(), resources)].into(),
                fake_missing_bindings: false,
                ..Default::default()
            };
            let (text, _) =
                msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
                    .unwrap_or_else(|e| panic!("{} to MSL: {e:?}", shader.label()));
            assert!(text.contains("kernel void"), "{}", shader.label());

            let mut text = String::new();
            let options = hlsl::Options::default();
            let pipeline = hlsl::PipelineOptions::default();
            hlsl::Writer::new(&mut text, &options, &pipeline)
                .write(&module, &info, None)
                .map(drop)
                .unwrap_or_else(|e| panic!("{} to HLSL: {e:?}", shader.label()));
            assert!(text.contains("numthreads"), "{}", shader.label());
        }
    }
}

/// The shader that looks at half floats, which is no pass of a plan.
#[test]
fn halves_are_looked_at_on_every_back_end() {
    let module = naga::front::wgsl::parse_str(&super::halves()).unwrap();
    let info = validate_with(Capabilities::SHADER_FLOAT16_IN_FLOAT32, "halves", &module);
    let words = spv::write_vec(&module, &info, &spv::Options::default(), None).unwrap();
    assert_eq!(words[0], 0x0723_0203);
    let mut text = String::new();
    let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
    hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).unwrap();
    assert!(text.contains("f16tof32"), "{text}");
}

#[test]
fn bindings_are_those_of_the_layout() {
    for shader in every() {
        let module = parse(shader);
        let mut found: Vec<(u32, &str)> = module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space != AddressSpace::WorkGroup)
            .map(|(_, v)| {
                let at = v.binding.as_ref().unwrap_or_else(|| panic!("{}: {v:?}", shader.label()));
                assert_eq!(at.group, 0, "{}", shader.label());
                let kind = match v.space {
                    AddressSpace::Uniform => "uniform",
                    AddressSpace::Storage { access }
                        if access.contains(naga::StorageAccess::STORE) =>
                    {
                        "write"
                    }
                    AddressSpace::Storage { .. } => "read",
                    AddressSpace::Handle => match module.types[v.ty].inner {
                        TypeInner::Image { class: naga::ImageClass::Sampled { .. }, .. } => {
                            "sampled"
                        }
                        TypeInner::Image { class: naga::ImageClass::Storage { .. }, .. } => {
                            "stored"
                        }
                        _ => "other",
                    },
                    _ => "other",
                };
                (at.binding, kind)
            })
            .collect();
        found.sort_unstable();
        let mut wanted = vec![(0, "uniform"), (1, "read"), (2, "write"), (3, "read")];
        if matches!(shader.entry, Entry::March(_)) {
            wanted[3].1 = "uniform";
        }
        if shader.source == Data::Texture {
            wanted[1].1 = "sampled";
        }
        if matches!(shader.output, Data::Stored(_)) {
            wanted[2].1 = "stored";
            wanted.push((4, "sampled"));
        }
        assert_eq!(found, wanted, "{}", shader.label());
    }
}

/// Names and offsets of a struct's members, and its size.
fn members<'a>(module: &'a Module, name: &str) -> (Vec<(&'a str, usize)>, usize) {
    let (_, found) =
        module.types.iter().find(|(_, t)| t.name.as_deref() == Some(name)).expect("the struct");
    let TypeInner::Struct { members, span } = &found.inner else { panic!("{found:?}") };
    let named = members.iter().map(|m| (m.name.as_deref().unwrap_or_default(), m.offset as usize));
    (named.collect(), *span as usize)
}

#[test]
fn params_are_the_same_on_both_sides() {
    for shader in every() {
        let module = parse(shader);
        assert_eq!(members(&module, "Params"), (Params::fields(), size_of::<Params>()));
        let (own, size) = members(&module, "Own");
        assert_eq!(size, 32, "{}", shader.label());
        let twin = match shader.entry {
            Entry::Flat => FlatOwn::fields(),
            Entry::March(_) => MarchOwn::fields(),
            Entry::Strip => StripOwn::fields(),
            Entry::Forward | Entry::Multiply | Entry::Back | Entry::Whole => FftOwn::fields(),
            Entry::Delta => FftOwn::fields(),
            Entry::Products | Entry::Taps => ProductsOwn::fields(),
            Entry::Correlate | Entry::Mix | Entry::Reduce => SumsOwn::fields(),
            Entry::Phases => PhasesOwn::fields(),
            Entry::Edges => EdgesOwn::fields(),
            Entry::Direct | Entry::Gather | Entry::Follow | Entry::Slope => continue,
        };
        assert_eq!(own, twin, "{}", shader.label());
    }
}

/// Workgroup memory is not zeroed ahead: these were looked at, and write each word before any invocation
/// reads it.
#[test]
fn few_shaders_have_workgroup_memory() {
    for shader in every() {
        let module = parse(shader);
        let shared =
            module.global_variables.iter().any(|(_, v)| v.space == AddressSpace::WorkGroup);
        let may = match shader.entry {
            Entry::Strip | Entry::Forward | Entry::Multiply | Entry::Back | Entry::Whole => true,
            Entry::Delta | Entry::Products | Entry::Taps => true,
            Entry::Correlate | Entry::Mix | Entry::Reduce => true,
            Entry::Direct | Entry::Gather | Entry::Edges => false,
            Entry::Flat | Entry::March(_) | Entry::Phases => false,
            Entry::Follow | Entry::Slope => false,
        };
        assert_eq!(shared, may, "{}", shader.label());
    }
}

/// What the numbers stand for is compared on a device, in `tests/engines/agreement`.
#[test]
fn border_numbers_are_the_same_on_both_sides() {
    let module = parse(every()[0]);
    let number = |name: &str| {
        let (_, constant) = module
            .constants
            .iter()
            .find(|(_, c)| c.name.as_deref() == Some(name))
            .unwrap_or_else(|| panic!("{name} is missing"));
        match module.global_expressions[constant.init] {
            naga::Expression::Literal(naga::Literal::U32(n)) => n,
            ref other => panic!("{name}: {other:?}"),
        }
    };
    let code = |border| {
        let conv = Conv2d::new(Kernel::identity()).border(border);
        let problem = Problem::new(&conv, [4, 4], ElementType::F32, ElementType::F32).unwrap();
        let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
        let plan = plan::choose(&problem, &machine, Algorithm::Direct).unwrap();
        let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
        let [program] = &job::programs(&problem, launch, None)[..] else { panic!("{plan}") };
        program.constants.iter().copied().find(|(name, _)| *name == "BORDER_TOP").unwrap().1
    };
    for (border, name) in [
        (Border::ZERO, "BORDER_CONSTANT"),
        (Border::Replicate, "BORDER_REPLICATE"),
        (Border::Reflect, "BORDER_REFLECT"),
        (Border::Reflect101, "BORDER_REFLECT101"),
        (Border::Wrap, "BORDER_WRAP"),
    ] {
        assert_eq!(code(border), number(name), "{name}");
    }
}
