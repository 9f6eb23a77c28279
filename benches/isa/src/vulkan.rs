//! Makes a compute pipeline with plain Vulkan and asks the driver about the code it made. No memory is
//! allocated and nothing runs, so Mesa's null devices do.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, c_char};

use ash::{ext, khr, vk};

use crate::pair::Pair;

/// What a driver tells of a compiled shader.
#[derive(Default)]
pub struct Compiled {
    /// Width of a wave.
    pub lanes: u32,
    /// The statistics by the driver's own names.
    pub numbers: HashMap<String, f64>,
    /// Intermediate forms and assembly, with the driver's names.
    pub texts: Vec<(String, String)>,
}

pub struct Gpu {
    device: ash::Device,
    properties: khr::pipeline_executable_properties::Device,
    limits: vk::PhysicalDeviceLimits,
    /// Device and driver, for the record.
    pub name: String,
    robust: bool,
}

// SAFETY, for every call below: handles are live (nothing is destroyed before the process ends),
// create infos are valid on their own, the SPIR-V was validated, counts match their arrays.

impl Gpu {
    pub fn open() -> Result<Self, String> {
        unsafe {
            let loader = ash::Entry::load().map_err(|e| format!("libvulkan.so.1: {e}"))?;
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let info = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = loader.create_instance(&info, None).map_err(at("instance"))?;
            let gpus = instance.enumerate_physical_devices().map_err(at("devices"))?;
            let gpu = *gpus.first().ok_or("no Vulkan device")?;
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut about = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            instance.get_physical_device_properties2(gpu, &mut about);
            let about = about.properties;
            let name = format!("{} ({})", text(&about.device_name), text(&driver.driver_info));

            let there =
                instance.enumerate_device_extension_properties(gpu).map_err(at("extensions"))?;
            let has = |n: &CStr| there.iter().any(|e| e.extension_name_as_c_str() == Ok(n));
            let mut extensions = vec![khr::pipeline_executable_properties::NAME.as_ptr()];
            if has(ext::robustness2::NAME) {
                extensions.push(ext::robustness2::NAME.as_ptr());
            }
            // Everything the device can, as an application may ask for all of it; but of the checks of
            // accesses only what wgpu asks for, since others change the code.
            let mut vulkan11 = vk::PhysicalDeviceVulkan11Features::default();
            let mut vulkan12 = vk::PhysicalDeviceVulkan12Features::default();
            let mut vulkan13 = vk::PhysicalDeviceVulkan13Features::default();
            let mut executable =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default();
            let mut features = vk::PhysicalDeviceFeatures2::default()
                .push_next(&mut vulkan11)
                .push_next(&mut vulkan12)
                .push_next(&mut vulkan13)
                .push_next(&mut executable);
            instance.get_physical_device_features2(gpu, &mut features);
            let mut checks = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
            let mut query = vk::PhysicalDeviceFeatures2::default().push_next(&mut checks);
            if has(ext::robustness2::NAME) {
                instance.get_physical_device_features2(gpu, &mut query);
            }
            let robust = checks.robust_buffer_access2 == vk::TRUE;
            let mut checks = vk::PhysicalDeviceRobustness2FeaturesEXT::default()
                .robust_buffer_access2(robust)
                .robust_image_access2(checks.robust_image_access2 == vk::TRUE);
            let queue = vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0]);
            let mut info = vk::DeviceCreateInfo::default()
                .queue_create_infos(std::slice::from_ref(&queue))
                .enabled_extension_names(&extensions)
                .push_next(&mut features);
            if has(ext::robustness2::NAME) {
                info = info.push_next(&mut checks);
            }
            let device = instance.create_device(gpu, &info, None).map_err(at("device"))?;
            let properties = khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Self { device, properties, limits: about.limits, name, robust })
        }
    }

    pub fn compile(&self, pair: &Pair) -> Result<Compiled, String> {
        let [x, y] = pair.plan.workgroup;
        let most = self.limits.max_compute_work_group_invocations;
        if x * y > most {
            return Err(format!("workgroup of {x}x{y}, the device allows {most} invocations"));
        }
        let (shared, most) = (pair.shared(), self.limits.max_compute_shared_memory_size);
        if shared > most {
            return Err(format!("{shared} bytes of workgroup memory, the device allows {most}"));
        }
        let pipeline = self.pipeline(pair)?;
        let all = khr_list(|n, p: *mut vk::PipelineExecutablePropertiesKHR| unsafe {
            let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
            let get = self.properties.fp().get_pipeline_executable_properties_khr;
            get(self.device.handle(), &info, n, p)
        })?;
        let mut compiled = Compiled::default();
        for (index, executable) in (0..).zip(all) {
            compiled.lanes = executable.subgroup_size;
            let info =
                vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(index);
            let get = self.properties.fp().get_pipeline_executable_statistics_khr;
            let statistics = khr_list(|n, p: *mut vk::PipelineExecutableStatisticKHR| unsafe {
                get(self.device.handle(), &info, n, p)
            })?;
            for s in statistics {
                use vk::PipelineExecutableStatisticFormatKHR as Format;
                // SAFETY: `format` says which field is filled.
                let value = unsafe {
                    match s.format {
                        Format::BOOL32 => f64::from(s.value.b32),
                        Format::INT64 => s.value.i64 as f64,
                        Format::UINT64 => s.value.u64 as f64,
                        _ => s.value.f64,
                    }
                };
                compiled.numbers.insert(text(&s.name), value);
            }
            self.texts(&info, &mut compiled.texts)?;
        }
        if compiled.numbers.is_empty() { Err("no statistics".into()) } else { Ok(compiled) }
    }

    fn texts(
        &self,
        info: &vk::PipelineExecutableInfoKHR<'_>,
        into: &mut Vec<(String, String)>,
    ) -> Result<(), String> {
        type Text<'a> = vk::PipelineExecutableInternalRepresentationKHR<'a>;
        let get = self.properties.fp().get_pipeline_executable_internal_representations_khr;
        // Once for the sizes, once for the texts.
        let mut all =
            khr_list(|n, p: *mut Text<'_>| unsafe { get(self.device.handle(), info, n, p) })?;
        let mut bytes: Vec<Vec<u8>> = all.iter().map(|t| vec![0; t.data_size]).collect();
        for (t, b) in all.iter_mut().zip(&mut bytes) {
            t.p_data = b.as_mut_ptr().cast();
        }
        let mut n = all.len() as u32;
        unsafe { get(self.device.handle(), info, &mut n, all.as_mut_ptr()) }
            .result()
            .map_err(at("texts"))?;
        for (t, b) in all.iter().zip(&bytes) {
            into.push((text(&t.name), String::from_utf8_lossy(b).trim_end_matches('\0').into()));
        }
        Ok(())
    }

    fn pipeline(&self, pair: &Pair) -> Result<vk::Pipeline, String> {
        let words = pair.spirv(self.robust)?;
        unsafe {
            let mut sets = Vec::new();
            for bindings in groups(&pair.module) {
                let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
                let set = self.device.create_descriptor_set_layout(&info, None);
                sets.push(set.map_err(at("bindings"))?);
            }
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&info, None).map_err(at("layout"))?;
            let info = vk::ShaderModuleCreateInfo::default().code(&words);
            let module = self.device.create_shader_module(&info, None).map_err(at("module"))?;
            let entry = CString::new(pair.plan.entry.as_str()).map_err(|e| e.to_string())?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&entry);
            let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(
                vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                    | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
            );
            self.device
                .create_compute_pipelines(vk::PipelineCache::null(), &[info], None)
                .map_err(|(_, e)| format!("pipeline: {e:?}"))?
                .into_iter()
                .find(|p| *p != vk::Pipeline::null())
                .ok_or_else(|| "no pipeline".into())
        }
    }
}

/// The bindings of every bind group from 0 on.
fn groups(module: &naga::Module) -> Vec<Vec<vk::DescriptorSetLayoutBinding<'static>>> {
    let mut groups = BTreeMap::<u32, Vec<_>>::new();
    for (_, global) in module.global_variables.iter() {
        let Some(at) = global.binding else { continue };
        let kind = match global.space {
            naga::AddressSpace::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
            _ => vk::DescriptorType::STORAGE_BUFFER,
        };
        groups.entry(at.group).or_default().push(
            vk::DescriptorSetLayoutBinding::default()
                .binding(at.binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE),
        );
    }
    let last = groups.keys().last().copied().unwrap_or(0);
    (0..=last).map(|g| groups.remove(&g).unwrap_or_default()).collect()
}

/// A list in Vulkan's manner: asked for its length first.
fn khr_list<T: Default + Clone>(
    get: impl Fn(&mut u32, *mut T) -> vk::Result,
) -> Result<Vec<T>, String> {
    let mut n = 0;
    get(&mut n, std::ptr::null_mut()).result().map_err(at("list"))?;
    let mut all = vec![T::default(); n as usize];
    get(&mut n, all.as_mut_ptr()).result().map_err(at("list"))?;
    Ok(all)
}

fn text(chars: &[c_char]) -> String {
    // SAFETY: Vulkan ends these arrays with a zero.
    unsafe { CStr::from_ptr(chars.as_ptr()) }.to_string_lossy().into_owned()
}

fn at(what: &'static str) -> impl Fn(vk::Result) -> String {
    move |e| format!("{what}: {e:?}")
}
