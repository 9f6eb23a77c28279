//! What the page of `examples/web` has to show, made by the native CPU engine: a picture as PNG, the
//! settings of the page's controls, and for each of them the pixels that come out. `run.sh` hands them to
//! `page.mjs`, which drives a browser; `cargo test` alone leaves this out.

#[path = "../../examples/scene/mod.rs"]
mod scene;

use std::fs;
use std::path::PathBuf;

use channelwise::{Border, Conv2d, Engine, Kernel};
use ndarray::Array3;

/// Odd sizes, so that no row fills words.
const SIZE: (u32, u32) = (241, 157);
/// Rows as typed into the page, and their weights.
const TYPED: (&str, [f32; 6]) = ("1 -2, 3\n0.5; 1/4 0", [1.0, -2.0, 3.0, 0.5, 0.25, 0.0]);

fn main() {
    let folder = std::env::args().nth(1).map(PathBuf::from).expect("sh tests/browser/run.sh");
    let picture = scene::scene(SIZE.0, SIZE.1);
    picture.save(folder.join("picture.png")).unwrap();
    let shape = (SIZE.1 as usize, SIZE.0 as usize, 3);
    let x = Array3::from_shape_vec(shape, picture.into_raw()).unwrap();

    let own = Kernel::new(2, 3, TYPED.1.to_vec()).unwrap();
    let cases = [
        ("gaussian", 9, "reflect101", 0, false, Kernel::gaussian_sized(9).unwrap()),
        ("box", 3, "constant", 200, false, Kernel::box_blur(3, 3).unwrap()),
        ("sobel-x", 9, "replicate", 0, true, Kernel::sobel_x()),
        ("own", 9, "wrap", 0, false, own.normalized().unwrap()),
        // Large enough for other algorithms than the plain one.
        ("disk", 31, "reflect", 0, false, Kernel::disk(15.5).unwrap()),
    ];
    let mut listed = Vec::new();
    for (preset, size, border, value, lifted, kernel) in cases {
        let of_name = match border {
            "constant" => Border::Constant(value as f32),
            "replicate" => Border::Replicate,
            "reflect" => Border::Reflect,
            "wrap" => Border::Wrap,
            _ => Border::Reflect101,
        };
        let conv = Conv2d::like_opencv(kernel).border(of_name);
        let conv = if lifted { conv.bias([128.0]) } else { conv };
        let y = Engine::cpu().run(&conv, &x).unwrap();
        assert!(y != x, "{preset} changes nothing, so nothing would be seen");
        let rgba: Vec<u8> = y
            .exact_chunks((1, 1, 3))
            .into_iter()
            .flat_map(|p| [p[[0, 0, 0]], p[[0, 0, 1]], p[[0, 0, 2]], 255])
            .collect();
        let file = format!("{preset}.rgba");
        fs::write(folder.join(&file), rgba).unwrap();
        listed.push(serde_json::json!({
            "preset": preset, "side": size, "border": border, "value": value, "lifted": lifted,
            "rows": TYPED.0, "expected": file,
        }));
    }
    let all = serde_json::json!({ "width": SIZE.0, "height": SIZE.1, "cases": listed });
    fs::write(folder.join("cases.json"), all.to_string()).unwrap();
}
