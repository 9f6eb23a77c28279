//! Times wonnx on the benchmark's cases and prints one JSON line.
//!
//! ```text
//! channelwise-wonnx-peer wonnx CASE
//! ```
//!
//! A grouped ONNX `Conv`. wonnx takes and gives host memory only, so every call includes upload
//! and download ("e"). A sample of the answer is checked against plain sums in f64 first.

use std::collections::HashMap;

use wonnx::utils::{attribute, graph, initializer, model, node, tensor};

#[path = "../../gpu-rust/src/common.rs"]
mod common;

fn main() {
    let Some(name) = std::env::args().nth(2) else {
        eprintln!("usage: channelwise-wonnx-peer wonnx CASE");
        std::process::exit(2)
    };
    let p = common::Problem::load(&name);
    let row = &p.row("wonnx e");
    if p.reflect {
        common::fail("missing", row, &name, "its Pad knows no reflection");
    }
    let [n, h, w, c] = p.case.shape.map(|v| v as i64);
    let [oh, ow] = p.out.map(|v| v as i64);
    let (kh, kw) = (p.case.kernel.height as i64, p.case.kernel.width as i64);
    let [(top, bottom), (left, right)] = p.pad.map(|(a, b)| (a as i64, b as i64));
    let conv = node(
        vec!["x", "k"],
        vec!["y"],
        "conv",
        "Conv",
        vec![
            attribute("kernel_shape", vec![kh, kw]),
            attribute("strides", vec![p.case.stride as i64; 2]),
            attribute("pads", vec![top, left, bottom, right]),
            attribute("dilations", vec![1, 1]),
            attribute("group", c),
        ],
    );
    let graph = graph(
        vec![tensor("x", &[n, c, h, w])],
        vec![tensor("y", &[n, c, oh, ow])],
        vec![],
        vec![initializer("k", p.weights.repeat(c as usize), vec![c, 1, kh, kw])],
        vec![conv],
    );
    let session = pollster::block_on(wonnx::Session::from_model(model(graph)));
    let session = session.unwrap_or_else(|e| common::fail("missing", row, &name, &e.to_string()));
    let x = p.nchw();
    let inputs = HashMap::from([("x".to_string(), x.as_slice().into())]);
    let run = || pollster::block_on(session.run(&inputs)).map(|mut all| all.remove("y"));
    let y = match run() {
        Ok(Some(y)) => Vec::<f32>::try_from(y).unwrap_or_default(),
        Ok(None) => vec![],
        Err(e) => common::fail("missing", row, &name, &e.to_string()),
    };
    p.check(row, &y);
    p.time(row, None, || {
        let _y = run().expect("as the first time");
    });
}
