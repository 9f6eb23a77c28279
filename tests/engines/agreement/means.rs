//! Box filters of whole numbers: every engine and algorithm gives the mean rounded once, bit for bit.

use channelwise::{Border, Conv2d, Element, Kernel, Layout, Padding};
use ndarray::Array4;

use crate::common::{Kind, Rng, engines};

/// Tops and lefts of boxes, strides and borders; halves are frequent in those of an even number of taps.
const BOXES: [(usize, usize); 8] =
    [(2, 3), (3, 2), (3, 3), (1, 6), (6, 1), (5, 2), (4, 6), (10, 7)];
const BORDERS: [Border; 4] =
    [Border::Constant(3.0), Border::Replicate, Border::Reflect101, Border::Wrap];

/// What the problem says, in integers: sums, times the tap as f32, each rounded once.
fn means(conv: &Conv2d, (rows, columns): (usize, usize), x: &Array4<f64>) -> Vec<f32> {
    let (batch, height, width, channels) = x.dim();
    let problem = channelwise::Problem::new(
        conv,
        [batch, height, width, channels],
        channelwise::ElementType::U8,
        channelwise::ElementType::F32,
    )
    .unwrap();
    let [_, out_height, out_width, _] = problem.output_shape().dims()[..] else { panic!() };
    let tap = 1.0f32 / (rows * columns) as f32;
    let border = conv.get_border();
    let mut all = Vec::new();
    for n in 0..batch {
        for r in 0..out_height {
            for q in 0..out_width {
                let (anchor_row, anchor_column) = problem.anchor_at(r, q);
                let top = anchor_row - ((rows - 1) / 2) as isize;
                let left = anchor_column - ((columns - 1) / 2) as isize;
                for c in 0..channels {
                    let mut sum = 0.0;
                    for i in 0..rows as isize {
                        for j in 0..columns as isize {
                            let at = border.rows().index(top + i, height);
                            let along = border.columns().index(left + j, width);
                            sum += match (at, along) {
                                (Some(at), Some(along)) => x[[n, at, along, c]],
                                _ => border.constant().unwrap(),
                            };
                        }
                    }
                    // The product of two f32s is exact in f64.
                    all.push((sum * f64::from(tap)) as f32);
                }
            }
        }
    }
    all
}

fn check<T: Element, U: Element>(whole: fn(u64) -> T, most: u64, rng: &mut Rng) -> usize {
    let mut made = 0;
    for (number, (rows, columns)) in BOXES.into_iter().enumerate() {
        for (n, border) in BORDERS.into_iter().enumerate() {
            if (rows * columns) as u64 * most > 1 << 24 {
                continue;
            }
            let conv = Conv2d::new(Kernel::box_blur(rows, columns).unwrap())
                .padding(Padding::Same)
                .border(border)
                .stride(1 + (number + n) % 5 / 4, 1);
            let shape = [1 + n % 2, 19, 37, 1 + (number + n) % 4];
            let x = Array4::from_shape_fn(shape, |_| whole(rng.below(most as usize + 1) as u64));
            let want = means(&conv, (rows, columns), &x.mapv(|x| f64::from(x.to_f32())));
            for backend in engines() {
                if matches!(backend.kind, Kind::CpuFft | Kind::GpuFft) {
                    continue;
                }
                let Ok(prepared) = backend.engine.prepare::<T, U>(&conv, shape) else { continue };
                let got = prepared.run(&x).unwrap();
                made += 1;
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    let wanted = U::from_f32(*want);
                    assert!(
                        *got == wanted,
                        "{i} is {got:?} for {wanted:?} ({want}) by {}: {rows}x{columns}, {conv:?}",
                        backend.name
                    );
                }
            }
        }
    }
    made
}

#[test]
fn boxes_of_whole_numbers_are_means() {
    let mut rng = Rng::new(57);
    let bytes = check::<u8, u8>(|x| x as u8, 255, &mut rng);
    let floats = check::<u8, f32>(|x| x as u8, 255, &mut rng);
    let words = check::<u16, u16>(|x| x as u16, 65_535, &mut rng);
    // By `direct` at least, on one engine at least.
    assert!(bytes >= 32 && floats >= 32 && words >= 32, "{bytes} {floats} {words}");
    let planes = Conv2d::new(Kernel::box_blur(2, 3).unwrap()).layout(Layout::Nchw);
    let x = Array4::from_elem([1, 3, 9, 9], 1u8);
    for backend in engines().iter().filter(|b| !matches!(b.kind, Kind::CpuFft | Kind::GpuFft)) {
        let Ok(prepared) = backend.engine.prepare::<u8, f32>(&planes, [1, 3, 9, 9]) else {
            continue;
        };
        let y = prepared.run(&x).unwrap();
        assert_eq!(y[[0, 1, 4, 4]], 6.0 * (1.0f32 / 6.0), "{}", backend.name);
    }
}
