//! Times burn on the benchmark's cases, on the GPU that burn picks, and prints one JSON line.
//!
//! ```text
//! channelwise-gpu-peers PEER CASE
//! ```
//!
//! PEER is `burn-vision` (`filter2d`) or `burn` (`conv2d` with one group per channel), either with
//! `-nchw` behind it. The data is `[N, H, W, C]` in memory and seen through a permuted view, as
//! its owner would call burn and as burn's convolution likes it best; with `-nchw` it lies
//! `[N, C, H, W]`, which is burn's own convention. Data stays on the GPU ("r") and every call ends
//! with `Device::sync`. A sample of the answer is checked against plain sums in f64 first.

use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Device, Tensor, TensorData};
use burn::vision::filter2d;

mod common;

/// One call: the input to the filtered tensor, both `[N, C, H, W]`.
type Call = Box<dyn Fn(Tensor<4>) -> Tensor<4>>;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(peer), Some(name)) = (args.next(), args.next()) else {
        eprintln!("usage: channelwise-gpu-peers burn-vision|burn[-nchw] CASE");
        std::process::exit(2)
    };
    let p = common::Problem::load(&name);
    let (api, nchw) = peer.strip_suffix("-nchw").map_or((peer.as_str(), false), |api| (api, true));
    let row = p.row(&format!(
        "{} {} r",
        if api == "burn" { "burn conv2d" } else { "burn-vision filter2d" },
        if nchw { "nchw" } else { "nhwc" }
    ));
    let [n, h, w, c] = p.case.shape;
    let (kh, kw, stride) = (p.case.kernel.height, p.case.kernel.width, p.case.stride);
    if api != "burn" && (p.case.padding != "same" || stride != 1) {
        common::fail("missing", &row, &name, "filter2d is same-size and stride 1 only");
    }

    let device = Device::wgpu(Default::default());
    let input = if nchw {
        Tensor::<4>::from_data(TensorData::new(p.nchw(), [n, c, h, w]), &device)
    } else {
        let data = TensorData::new(p.x.clone(), [n, h, w, c]);
        Tensor::<4>::from_data(data, &device).permute([0, 3, 1, 2])
    };
    let kernel = Tensor::<2>::from_data(TensorData::new(p.weights.clone(), [kh, kw]), &device);
    let reflect = p.reflect;
    let call: Call = if api == "burn" {
        // Copied for every channel beforehand, which is to burn's advantage.
        let many = kernel.reshape([1, 1, kh, kw]).repeat_dim(0, c);
        let pad @ [(top, bottom), (left, right)] = p.pad;
        Box::new(move |x| {
            let (x, pad) = if reflect {
                (x.pad((left, right, top, bottom), PadMode::Reflect), [(0, 0); 2])
            } else {
                (x, pad)
            };
            let options = ConvOptions::new_with_padding([stride; 2], pad, [1, 1], c);
            conv2d(x, many.clone(), None, options)
        })
    } else {
        let border = if reflect { PadMode::Reflect } else { PadMode::Constant(0.0) };
        Box::new(move |x| filter2d(x, kernel.clone(), border))
    };

    let y = call(input.clone()).try_into_data().unwrap_or_else(|error| {
        // Its causes are a line each, the last one the root.
        let text = error.to_string();
        let causes = text.lines().take_while(|line| !line.contains("backtrace"));
        common::fail("missing", &row, &name, causes.last().unwrap_or_default().trim())
    });
    let y: Vec<f32> = y.try_to_vec().expect("floats");
    p.check(&row, &y);
    p.time(&row, Some("autotuned"), || {
        let _y = call(input.clone()); // kept until the GPU is done
        device.sync().expect("the GPU finishes");
    });
}
