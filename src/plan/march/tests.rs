//! Which invocation makes what, without a device.

use std::collections::BTreeSet;

use super::*;
use crate::plan::{Algorithm, Launch, Machine, Scheme, choose};
use crate::{Conv2d, ElementType, Kernel, Layout, Padding};

/// A generator for tests; numbers of 0 to `n - 1`.
struct Chance(u32);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn drawn(chance: &mut Chance) -> Problem {
    let types = [ElementType::F32, ElementType::U8, ElementType::F16];
    let kernel = Kernel::box_blur(1 + chance.below(5), 1 + chance.below(7)).unwrap();
    let layout = chance.of(&[Layout::Nhwc, Layout::Nchw]);
    let conv = Conv2d::new(kernel)
        .layout(layout)
        .stride(1 + chance.below(3), chance.of(&[1, 1, 2, 3]))
        .dilation(1 + chance.below(3), 1 + chance.below(3))
        .padding(chance.of(&[Padding::Same, Padding::Valid, Padding::all(4)]));
    let shape = [1 + chance.below(2), 20 + chance.below(40), 20 + chance.below(60)];
    let channels = chance.of(&[1, 2, 3, 4, 6, 8, 16]);
    let shape = match layout {
        Layout::Nhwc => [shape[0], shape[1], shape[2], channels],
        Layout::Nchw => [shape[0], channels, shape[1], shape[2]],
    };
    Problem::new(&conv, shape, chance.of(&types), chance.of(&types)).unwrap()
}

/// As the shader goes through them.
fn made(shape: &MarchShape, inside: &Inside, rows: usize) -> (Vec<(usize, usize)>, usize) {
    let (height, spacing) = (shape.rows as usize, shape.spacing as usize);
    let mut all = Vec::new();
    for block in 0..inside.blocks {
        let first = inside.top + block / spacing * (spacing * height) + block % spacing;
        for lane in inside.first..inside.end {
            all.extend((0..height).map(|k| (first + k * spacing, lane)));
        }
    }
    let in_blocks = all.len();
    let covered = inside.blocks * height;
    let (whole, within) = ((rows - covered) * inside.lanes, inside.end - inside.first);
    let beside = inside.lanes - within;
    for n in 0..whole + covered * beside {
        all.push(if n < whole {
            let row = n / inside.lanes;
            (row + if row < inside.top { 0 } else { covered }, n % inside.lanes)
        } else {
            let left = n - whole;
            let lane = left % beside;
            let lane = if lane < inside.first { lane } else { lane + within };
            (inside.top + left / beside, lane)
        });
    }
    (all, in_blocks)
}

/// Blocks and edges make every lane of every row once; and inside nothing is read that the image does not have.
#[test]
fn every_output_is_made_once_and_inside_all_taps_are_there() {
    let mut chance = Chance(7);
    let (mut taken, mut in_blocks) = (0, 0);
    for residence in [Residence::Host, Residence::Device] {
        for _ in 0..300 {
            let problem = drawn(&mut chance);
            let limits = GpuLimits::webgpu_defaults();
            let machine = Machine::Gpu(limits, residence);
            let Ok(plan) = choose(&problem, &machine, Algorithm::March) else { continue };
            let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
            let Scheme::March(march) = launch.scheme else { panic!("{plan}") };
            taken += 1;
            let shape = MarchShape::of(&problem, &march);
            let g = problem.geometry();
            let row = (g.width * g.channels) as i64;
            let pitch = row as usize;
            let pitch = pitch.next_multiple_of(launch.pitch) as i64;
            for band in &launch.bands {
                let inside = march.inside(&problem, band);
                let rows = band.rows.len();
                let (all, blocks) = made(&shape, &inside, rows);
                let once: BTreeSet<_> = all.iter().copied().collect();
                assert_eq!(once.len(), all.len(), "{plan}\n{inside:?}");
                assert_eq!(all.len(), rows * inside.lanes, "{plan}\n{inside:?}");
                let [x, y] = inside.grid(march.workgroup);
                let [wide, high] = march.workgroup.map(|n| n as usize);
                assert!(inside.lanes <= x as usize * wide);
                let room = (y as usize - inside.blocks.div_ceil(high)) * x as usize * wide * high;
                assert!(all.len() - blocks <= room, "{inside:?}");
                in_blocks += blocks;
                for (at, lane) in &all[..blocks] {
                    let first = g.first_row(band.rows.start + at);
                    let last = first + g.extent().0 as isize - 1;
                    assert!(first >= 0 && last < g.height as isize, "{plan}\n{inside:?}");
                    let begins = shape.begins(*lane, 0) as i64;
                    let (near, far) = shape.reach();
                    assert!(begins + near >= 0 && begins + far < row, "{plan}\n{inside:?}");
                    let vector = (VECTOR / problem.input_type().bytes()) as i64;
                    assert_eq!(begins % vector, 0, "{plan}");
                    let vectors = shape.vectors(vector as usize);
                    assert!(begins / vector + vectors[0] >= 0);
                    let end = (begins / vector + vectors[vectors.len() - 1] + 1) * vector;
                    assert!(end <= pitch, "{plan}\n{inside:?}");
                }
            }
        }
    }
    assert!(taken > 300 && in_blocks > 50_000, "{taken} {in_blocks}");
}

#[test]
fn what_it_cannot_do_it_says() {
    let refused = |conv: &Conv2d, shape: [usize; 4], element, residence| {
        let problem = Problem::new(conv, shape, element, element).unwrap();
        let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), residence);
        choose(&problem, &machine, Algorithm::March).map_or_else(|e| e.to_string(), |p| p.explain())
    };
    let three = Conv2d::new(Kernel::laplacian4());
    let large = Conv2d::new(Kernel::disk(20.0).unwrap());
    let (u8, f32) = (ElementType::U8, ElementType::F32);
    for (conv, shape, element, residence, says) in [
        (&three, [1, 50, 35, 3], u8, Residence::Device, "rows of the input are 105 scalars"),
        (&three, [1, 50, 35, 3], u8, Residence::Host, "march on the gpu"),
        (&three, [1, 50, 35, 4], f32, Residence::Device, "march on the gpu"),
        (&large, [1, 50, 35, 4], f32, Residence::Device, "1681 taps, and 1024 fit"),
        (&three, [1, 50, 35, 4], f32, Residence::Texture, "its vectors are those of buffers"),
    ] {
        let text = refused(conv, shape, element, residence);
        assert!(text.contains(says), "{text}");
    }
    // Unasked it is left alone where compiling takes longer than the work.
    let small = Problem::new(&three, [1, 50, 35, 4], f32, f32).unwrap();
    let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
    let plan = choose(&small, &machine, Algorithm::Auto).unwrap();
    assert_eq!(plan.algorithm(), Algorithm::Flat);
    assert!(plan.explain().contains("compiled for this shape alone"), "{plan}");
}
