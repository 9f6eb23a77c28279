//! What the page's workers call: pictures, filters, and the two engines.
//!
//! A [`Picture`] is what a canvas gives: four bytes a pixel, the last one alpha. The three colours
//! are filtered, and alpha stays as it is.

mod filter;
mod sample;

use channelwise::{Cpu, Engine, Gpu, GpuOptions, Prepared};
use ndarray::Array3;
use wasm_bindgen::prelude::*;

pub use filter::{Filter, Weights};
pub use sample::sample;

/// Panics are told to the console.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// A picture's colours and its alpha.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Picture {
    colours: Array3<u8>,
    alpha: Vec<u8>,
}

#[wasm_bindgen]
impl Picture {
    /// From rows of pixels, `width * height * 4` bytes.
    ///
    /// # Errors
    /// Where the length is another, or 0.
    #[wasm_bindgen(constructor)]
    pub fn new(rgba: &[u8], width: usize, height: usize) -> Result<Self, JsError> {
        let pixels =
            width.checked_mul(height).filter(|&n| n > 0 && n.checked_mul(4) == Some(rgba.len()));
        if pixels.is_none() {
            let len = rgba.len();
            return Err(JsError::new(&format!(
                "a picture of {width} x {height} has not {len} bytes"
            )));
        }
        let (pixels, _) = rgba.as_chunks::<4>();
        let colours = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        let colours = Array3::from_shape_vec((height, width, 3), colours)?;
        Ok(Self { colours, alpha: pixels.iter().map(|pixel| pixel[3]).collect() })
    }
}

/// An engine.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Lane(Engine);

#[wasm_bindgen]
impl Lane {
    /// The CPU, on the one thread that calls.
    #[must_use]
    pub fn cpu() -> Self {
        Self(Cpu::new().into())
    }

    /// The GPU, if the browser gives one.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn gpu() -> Result<Self, JsError> {
        Ok(Self(Gpu::request_async(&GpuOptions::new()).await?.into()))
    }

    /// What it is, for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self.0.as_gpu() {
            Some(gpu) => gpu.to_string(),
            None => Cpu::new().to_string(),
        }
    }

    /// Whether it is a GPU that the CPU plays.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn software(&self) -> bool {
        self.0.as_gpu().is_some_and(Gpu::is_software)
    }

    /// Checks, plans and compiles.
    ///
    /// # Errors
    /// What the picture is too small or too large for.
    pub async fn prepare(&self, filter: &Filter, picture: &Picture) -> Result<Job, JsError> {
        let (height, width, channels) = picture.colours.dim();
        let prepared = self.0.prepare_async(filter.conv(), [height, width, channels]).await?;
        let output = Array3::zeros((height, width, channels));
        Ok(Job { prepared, output, gpu_ms: None })
    }
}

/// A filter made ready for a picture, and what came out.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Job {
    prepared: Prepared<u8, u8>,
    output: Array3<u8>,
    gpu_ms: Option<f64>,
}

#[wasm_bindgen]
impl Job {
    /// Filters the colours.
    ///
    /// # Errors
    /// What the device says.
    pub async fn run(&mut self, picture: &Picture) -> Result<(), JsError> {
        let timings =
            self.prepared.run_into_timed_async(&picture.colours, &mut self.output).await?;
        self.gpu_ms = timings.gpu.map(|time| time.as_secs_f64() * 1e3);
        Ok(())
    }

    /// Milliseconds of the last run by the GPU's own clock, where it has one.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn gpu_ms(&self) -> Option<f64> {
        self.gpu_ms
    }

    /// How it was computed, and why so.
    #[must_use]
    pub fn explain(&self) -> String {
        self.prepared.plan().explain()
    }

    /// The output with the picture's alpha, as a canvas takes it.
    #[must_use]
    pub fn pixels(&self, picture: &Picture) -> Vec<u8> {
        let (colours, _) = self.output.as_slice().unwrap_or_default().as_chunks::<3>();
        colours.iter().zip(&picture.alpha).flat_map(|(&[r, g, b], &a)| [r, g, b, a]).collect()
    }
}
